package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gate421/certs/pemfile"
)

// pollEvery is how often the files are checked for changes.
const pollEvery = time.Second

// fileSource is the source "files": pairs that somebody else renews.
//
// The files are checked once a second, through symbolic links: polling sees what a watch on a folder misses, such as a
// link further up the path that is changed, or a network file system. Whatever changed, all pairs are read again and
// replace the old ones in one step. A pair that cannot be used keeps its certificate; if those that can no longer cover
// every host, all pairs keep theirs.
type fileSource struct {
	pairs    []Pair
	hosts    names
	notifier *notifier
	every    time.Duration

	current  atomic.Pointer[fileSet]
	seen     []fileState // the files at the latest read
	reported bool        // what was wrong with them has been reported

	stop    context.CancelFunc
	stopped chan struct{} // closed when polling has ended; nil if it never began
}

// fileSet is what all pairs held at one time. It is immutable.
type fileSet struct {
	certs  []*tls.Certificate // as Config.Files
	byHost map[string][]*tls.Certificate
}

// fileState tells whether a file has changed. A link to another place is another file, whatever its times; the mode is
// part of it because it may be why a file could not be read.
type fileState struct{ info os.FileInfo }

func stateOf(path string) fileState {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}
	}
	return fileState{info}
}

func (f fileState) equal(other fileState) bool {
	if f.info == nil || other.info == nil {
		return f.info == nil && other.info == nil
	}
	return os.SameFile(f.info, other.info) && f.info.ModTime().Equal(other.info.ModTime()) &&
		f.info.Size() == other.info.Size() && f.info.Mode() == other.info.Mode()
}

func openFiles(pairs []Pair, hosts names, n *notifier) (*fileSource, error) {
	if len(pairs) == 0 {
		return nil, errors.New("certificate source \"files\": no files")
	}
	f := &fileSource{pairs: pairs, hosts: hosts, notifier: n, every: pollEvery, stop: func() {}, reported: true}
	f.seen = f.states()
	set, problems := f.read(nil)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	f.activate(set)
	return f, nil
}

func (f *fileSource) certificates(host string) []*tls.Certificate {
	return f.current.Load().byHost[host]
}

func (f *fileSource) manage(ctx context.Context) error {
	ctx, f.stop = context.WithCancel(ctx)
	f.stopped = make(chan struct{})
	go func() {
		defer close(f.stopped)
		tick := time.NewTicker(f.every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f.poll()
			}
		}
	}()
	return nil
}

func (f *fileSource) close() error {
	f.stop()
	if f.stopped != nil {
		<-f.stopped
	}
	return nil
}

// poll activates what has changed since the last poll. Two files are not replaced in one instant: a change that does
// not work is read once more at the next poll before it is reported.
func (f *fileSource) poll() {
	states := f.states()
	changed := !slices.EqualFunc(states, f.seen, fileState.equal)
	if !changed && f.reported {
		return
	}
	f.seen = states
	set, problems := f.read(f.current.Load())
	f.reported = len(problems) == 0 || !changed
	if !f.reported {
		return
	}
	f.activate(set)
	for _, problem := range problems {
		f.notifier.send(Event{Kind: KindFailed, Hosts: f.hosts.order, Error: problem.Error()})
	}
}

// states has the state of every file, in the order of the pairs.
func (f *fileSource) states() []fileState {
	var list []fileState
	for _, pair := range f.pairs {
		list = append(list, stateOf(pair.Cert), stateOf(pair.Key))
	}
	return list
}

// read reads all pairs. With an old set it always has a usable one; without, only if there are no problems.
func (f *fileSource) read(old *fileSet) (*fileSet, []error) {
	set := &fileSet{certs: make([]*tls.Certificate, len(f.pairs)), byHost: make(map[string][]*tls.Certificate)}
	var problems []error
	for i, pair := range f.pairs {
		cert, err := readPair(pair)
		if err != nil {
			problems = append(problems, err)
			if old == nil {
				continue
			}
			cert = old.certs[i]
		}
		set.certs[i] = cert
	}
	if old == nil && len(problems) > 0 {
		return nil, problems // which hosts are covered would be guesswork
	}
	uncovered := f.assign(set)
	if len(uncovered) > 0 && old != nil {
		set = old
	}
	return set, append(problems, uncovered...)
}

// assign fills set.byHost: for each host the certificates with that very name, then those with a wildcard for it.
func (f *fileSource) assign(set *fileSet) (uncovered []error) {
	for _, host := range f.hosts.order {
		var exact, wild []*tls.Certificate
		for _, cert := range set.certs {
			switch {
			case !covers(cert.Leaf, host):
			case hasName(cert.Leaf, host):
				exact = append(exact, cert)
			default:
				wild = append(wild, cert)
			}
		}
		set.byHost[host] = append(exact, wild...)
		if len(set.byHost[host]) == 0 {
			var have []string
			for _, cert := range set.certs {
				have = append(have, namesOf(cert.Leaf)...)
			}
			uncovered = append(uncovered, fmt.Errorf("host %q: no certificate covers it; the files have %q", host,
				have))
		}
	}
	return uncovered
}

// hasName reports whether a certificate has that very name, and not just a wildcard for it.
func hasName(leaf *x509.Certificate, host string) bool {
	for _, name := range namesOf(leaf) {
		if strings.EqualFold(name, host) {
			return true
		}
	}
	return false
}

// activate makes set the current one, reports which of its certificates are new, and warns of what is wrong with those.
func (f *fileSource) activate(set *fileSet) {
	old := f.current.Swap(set)
	for i, cert := range set.certs {
		if old != nil && bytes.Equal(old.certs[i].Leaf.Raw, cert.Leaf.Raw) {
			continue
		}
		event := Event{Kind: KindLoaded, Hosts: namesOf(cert.Leaf), Issuer: cert.Leaf.Issuer.CommonName,
			NotAfter: cert.Leaf.NotAfter}
		f.notifier.send(event)
		event.Kind = KindWarning
		for _, text := range warnings(f.pairs[i], cert.Leaf) {
			event.Error = text
			f.notifier.send(event)
		}
	}
}

// warnings are what is wrong with a pair that can be served all the same.
func warnings(pair Pair, leaf *x509.Certificate) []string {
	var list []string
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		list = append(list, fmt.Sprintf("certificate %q: expired on %s UTC", pair.Cert,
			leaf.NotAfter.UTC().Format(time.DateTime)))
	case now.Before(leaf.NotBefore):
		list = append(list, fmt.Sprintf("certificate %q: not valid before %s UTC", pair.Cert,
			leaf.NotBefore.UTC().Format(time.DateTime)))
	}
	if info, err := os.Stat(pair.Key); err == nil {
		if text := pemfile.OpenToAll(pair.Key, info); text != "" {
			list = append(list, text)
		}
	}
	return list
}

// readPair reads one pair. The error begins with the file that is wrong.
func readPair(pair Pair) (*tls.Certificate, error) {
	certPEM, certErr := pemfile.Read(pair.Cert, "CERTIFICATE")
	if certErr != nil {
		certErr = fmt.Errorf("certificate %q: %w", pair.Cert, certErr)
	}
	keyPEM, keyErr := pemfile.Read(pair.Key, "PRIVATE KEY")
	if keyErr != nil {
		keyErr = fmt.Errorf("key %q: %w", pair.Key, keyErr)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %q with key %q: %s", pair.Cert, pair.Key,
			strings.TrimPrefix(err.Error(), "tls: "))
	}
	if len(namesOf(cert.Leaf)) == 0 {
		return nil, fmt.Errorf("certificate %q: it has no subject alternative names, which clients require", pair.Cert)
	}
	return &cert, nil
}
