package certs

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// CA names one ACME authority.
type CA struct {
	// Directory is "letsencrypt", "letsencrypt-staging", "zerossl" or the https URL of an ACME directory; "" is
	// "letsencrypt".
	Directory string

	// Root is the path of a PEM file: what the directory's own TLS certificate is checked against. "" is the system's
	// roots.
	Root string

	// KeyID and HMACKeyFile bind our account to one that was made with the authority beforehand (external account
	// binding, RFC 8555 section 7.3.4): its key's name and the path of a file with the key, base64url as authorities
	// hand it out. Both or none; "zerossl" needs them.
	KeyID, HMACKeyFile string
}

// ready is a CA that was looked at: an authority that can be asked.
type ready struct {
	directory string // URL
	name      string // as events have it: the directory's host
	roots     *x509.CertPool
	binding   *acme.EAB // nil: none
}

// readyAll looks at all authorities and joins what is wrong with them. Oddities of their key files are told.
func readyAll(list []CA, told *teller) ([]ready, error) {
	if len(list) == 0 {
		list = []CA{{}}
	}
	var all []ready
	var problems []error
	for _, ca := range list {
		one, err := ca.ready(told)
		problems = append(problems, err)
		for _, before := range all {
			if err == nil && before.directory == one.directory {
				problems = append(problems, fmt.Errorf("certificate authority %q: named twice", ca.Directory))
			}
		}
		all = append(all, one)
	}
	return all, errors.Join(problems...)
}

func (ca CA) ready(told *teller) (ready, error) {
	directory, err := ca.url()
	if err != nil {
		return ready{}, err
	}
	r := ready{directory: directory, name: hostOf(directory)}
	var problems []error
	if r.roots, err = rootsFrom(ca.Root); err != nil {
		problems = append(problems, fmt.Errorf("certificate authority %q: %w", ca.Directory, err))
	}
	switch {
	case (ca.KeyID == "") != (ca.HMACKeyFile == ""):
		problems = append(problems, fmt.Errorf("certificate authority %q: the account's key ID and its key go together", ca.Directory))
	case ca.KeyID == "" && directory == certmagic.ZeroSSLProductionCA:
		problems = append(problems, fmt.Errorf("certificate authority %q: it wants an account made beforehand: its key ID and the file with its key", ca.Directory))
	case ca.KeyID != "":
		secret, err := readSecret(ca.HMACKeyFile, told)
		if _, other := base64.RawURLEncoding.DecodeString(strings.TrimRight(secret, "=")); err == nil && other != nil {
			err = fmt.Errorf("key %q: not base64url, the form in which authorities hand it out", ca.HMACKeyFile)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("certificate authority %q: %w", ca.Directory, err))
		}
		r.binding = &acme.EAB{KeyID: ca.KeyID, MACKey: strings.TrimRight(secret, "=")}
	}
	return r, errors.Join(problems...)
}

// url is the directory's, whatever it was named by.
func (ca CA) url() (string, error) {
	switch ca.Directory {
	case "", "letsencrypt":
		return certmagic.LetsEncryptProductionCA, nil
	case "letsencrypt-staging":
		return certmagic.LetsEncryptStagingCA, nil
	case "zerossl":
		return certmagic.ZeroSSLProductionCA, nil
	}
	if u, err := url.Parse(ca.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("certificate authority %q: want \"letsencrypt\", \"letsencrypt-staging\", \"zerossl\" or the https "+
			"URL of an ACME directory", ca.Directory)
	}
	return ca.Directory, nil
}

func hostOf(directory string) string {
	if u, err := url.Parse(directory); err == nil && u.Host != "" {
		return u.Host
	}
	return directory
}

// rootsFrom reads a file of trusted roots; without one they are the system's. Never nil without an error: certmagic
// would put its package default in the place of nil.
func rootsFrom(path string) (*x509.CertPool, error) {
	if path == "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("the system's trusted roots: %w", err)
		}
		return pool, nil
	}
	data, err := readInput(path, "CERTIFICATE")
	if err != nil {
		return nil, fmt.Errorf("root %q: %w", path, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("root %q: holds no certificate that can be read", path)
	}
	return pool, nil
}

// largestSecret is in bytes; a file that is longer is not what it was taken for.
const largestSecret = 64 << 10

// readSecret reads a small text file without the white space around it. That others can read it is told as a warning.
// The error begins with the file, and never holds what is in it.
func readSecret(path string, told *teller) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("key %q: %w", path, bare(err))
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("key %q: not a regular file", path)
	case info.Size() > largestSecret:
		return "", fmt.Errorf("key %q: larger than %d bytes", path, largestSecret)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("key %q: %w", path, bare(err))
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("key %q: is empty", path)
	}
	if words := othersCanRead(path, info); words != "" && told != nil {
		told.tell(Event{Kind: KindWarning, Error: words})
	}
	return secret, nil
}

// tellTerms is certmagic's hook before it makes an account: whoever configured the authority accepts its terms, and is
// told so, with the place to read them. An authority that does not say keeps nobody from getting an account.
func (a *acmeSource) tellTerms(by ready) func(context.Context, *certmagic.ACMEIssuer, acme.Account) (acme.Account, error) {
	return func(ctx context.Context, _ *certmagic.ACMEIssuer, account acme.Account) (acme.Account, error) {
		ctx, stop := context.WithTimeout(ctx, 30*time.Second)
		defer stop()
		transport := &http.Transport{Proxy: a.mayAsk, TLSClientConfig: tlsTrusting(by.roots), ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		client := &acme.Client{Directory: by.directory, HTTPClient: &http.Client{Transport: transport}, UserAgent: "gate421"}
		event := Event{Kind: KindTerms, Issuer: by.name}
		if directory, err := client.GetDirectory(ctx); err == nil && directory.Meta != nil {
			event.Terms = directory.Meta.TermsOfService
		}
		a.told.tell(event)
		return account, nil
	}
}
