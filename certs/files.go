package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const (
	pollEvery    = time.Second
	largestInput = 1 << 20 // bytes of a certificate or key file
)

// fileSource is the source "files": pairs that somebody else renews.
//
// The files are looked at once a second, through symbolic links: polling sees what a watch on a folder misses, such
// as a link further up the path being pointed elsewhere, or a network file system. Whatever changed, all pairs are
// read again and replace the old ones in one step. A pair that cannot be used keeps the certificate it had; if the
// readable ones no longer cover every host, all of them keep theirs.
type fileSource struct {
	pairs []Pair
	hosts names
	told  *teller
	every time.Duration

	current atomic.Pointer[fileSet]
	seen    []stamp // what current was read from, or tried to
	settled bool    // what is wrong with seen has been told

	stop    context.CancelFunc
	stopped chan struct{} // closed when the watch has ended; nil if there never was one
}

// fileSet is one state of all pairs. It does not change.
type fileSet struct {
	certs  []*tls.Certificate // as Config.Files
	byHost map[string][]*tls.Certificate
}

// stamp tells one state of a file from another. A link that is pointed elsewhere is another file, whatever its
// times; a mode is part of it because it may be why a file could not be read.
type stamp struct{ info os.FileInfo }

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) same(other stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return os.SameFile(s.info, other.info) && s.info.ModTime().Equal(other.info.ModTime()) &&
		s.info.Size() == other.info.Size() && s.info.Mode() == other.info.Mode()
}

func openFiles(pairs []Pair, hosts names, told *teller) (*fileSource, error) {
	if len(pairs) == 0 {
		return nil, errors.New("certificate source \"files\": no files")
	}
	f := &fileSource{pairs: pairs, hosts: hosts, told: told, every: pollEvery, stop: func() {}, settled: true}
	f.seen = f.stamps()
	set, problems := f.read(nil)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	f.use(set)
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
				f.look()
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

// look takes up what has changed since the last look. Two files are not replaced in one instant: a change that does
// not work is looked at once more before anybody is told.
func (f *fileSource) look() {
	stamps := f.stamps()
	changed := false
	for i := range stamps {
		changed = changed || !stamps[i].same(f.seen[i])
	}
	if !changed && f.settled {
		return
	}
	f.seen = stamps
	set, problems := f.read(f.current.Load())
	f.settled = len(problems) == 0 || !changed
	if !f.settled {
		return
	}
	f.use(set)
	for _, problem := range problems {
		f.told.tell(Event{Kind: KindFailed, Hosts: f.hosts.order, Error: problem.Error()})
	}
}

func (f *fileSource) stamps() []stamp {
	var list []stamp
	for _, pair := range f.pairs {
		list = append(list, stampOf(pair.Cert), stampOf(pair.Key))
	}
	return list
}

// read reads all pairs. With an old set it always returns a usable one; without, only if there are no problems.
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
			uncovered = append(uncovered, fmt.Errorf("host %q: no certificate covers it; the files have %q", host, have))
		}
	}
	return uncovered
}

func hasName(leaf *x509.Certificate, host string) bool {
	for _, name := range namesOf(leaf) {
		if strings.EqualFold(name, host) {
			return true
		}
	}
	return false
}

// use makes set the current one and tells which of its certificates are new, and what is odd about those.
func (f *fileSource) use(set *fileSet) {
	old := f.current.Swap(set)
	for i, cert := range set.certs {
		if old != nil && bytes.Equal(old.certs[i].Leaf.Raw, cert.Leaf.Raw) {
			continue
		}
		event := Event{Kind: KindLoaded, Hosts: namesOf(cert.Leaf), Issuer: cert.Leaf.Issuer.CommonName, NotAfter: cert.Leaf.NotAfter}
		f.told.tell(event)
		event.Kind = KindWarning
		for _, words := range oddities(f.pairs[i], cert.Leaf) {
			event.Error = words
			f.told.tell(event)
		}
	}
}

// oddities are what does not keep a pair from being served, and should not be left so.
func oddities(pair Pair, leaf *x509.Certificate) []string {
	var list []string
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		list = append(list, fmt.Sprintf("certificate %q: expired on %s", pair.Cert, leaf.NotAfter.UTC().Format(time.DateTime)+" UTC"))
	case now.Before(leaf.NotBefore):
		list = append(list, fmt.Sprintf("certificate %q: not valid before %s", pair.Cert, leaf.NotBefore.UTC().Format(time.DateTime)+" UTC"))
	}
	if info, err := os.Stat(pair.Key); err == nil {
		if words := othersCanRead(pair.Key, info); words != "" {
			list = append(list, words)
		}
	}
	return list
}

// readPair reads one pair. The error begins with the file that is to blame.
func readPair(pair Pair) (*tls.Certificate, error) {
	certPEM, certErr := readInput(pair.Cert, "CERTIFICATE")
	if certErr != nil {
		certErr = fmt.Errorf("certificate %q: %w", pair.Cert, certErr)
	}
	keyPEM, keyErr := readInput(pair.Key, "PRIVATE KEY")
	if keyErr != nil {
		keyErr = fmt.Errorf("key %q: %w", pair.Key, keyErr)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %q with key %q: %s", pair.Cert, pair.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	if len(namesOf(cert.Leaf)) == 0 {
		return nil, fmt.Errorf("certificate %q: it has no subject alternative names, which clients require", pair.Cert)
	}
	return &cert, nil
}

// readInput reads a PEM file and makes sure that it has a block whose type ends in kind.
func readInput(path, kind string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, largestInput+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(data) > largestInput {
		return nil, fmt.Errorf("larger than %d bytes", largestInput)
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("holds no PEM block of type %q", kind)
		}
		if strings.HasPrefix(block.Type, "ENCRYPTED ") || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("it is encrypted; a server needs it in the clear")
		}
		if strings.HasSuffix(block.Type, kind) {
			return data, nil
		}
	}
}
