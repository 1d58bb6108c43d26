package certs

import (
	"context"
	"crypto/tls"
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

	"gate421/certs/pemfile"
)

// CA configures one ACME authority.
type CA struct {
	// Directory is "letsencrypt", "letsencrypt-staging", "zerossl" or the https URL of an ACME directory; "" is
	// "letsencrypt".
	Directory string

	// Root is the path of a PEM file with the roots that the directory's own TLS certificate is verified against. ""
	// is the system's roots.
	Root string

	// KeyID and HMACKeyFile bind our account to one that was made with the authority beforehand (external account
	// binding, RFC 8555 section 7.3.4): the ID of its key and the path of a file with the key, in base64url as
	// authorities give it. Both or none; "zerossl" needs them.
	KeyID, HMACKeyFile string
}

// authority is an ACME authority that orders can be sent to: a CA whose files were read.
type authority struct {
	directory string // URL
	name      string // as events have it: the directory's host
	roots     *x509.CertPool
	binding   *acme.EAB // nil: none
}

// resolveCAs resolves all CAs, none of them being Let's Encrypt, and joins what is wrong with them. A key file that
// others can read is a warning; n may be nil.
func resolveCAs(list []CA, n *notifier) ([]authority, error) {
	if len(list) == 0 {
		list = []CA{{}}
	}
	var all []authority
	var problems []error
	for _, ca := range list {
		one, err := ca.resolve(n)
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

// resolve reads what ca names. Its error joins all problems found.
func (c CA) resolve(n *notifier) (authority, error) {
	directory, err := c.directoryURL()
	if err != nil {
		return authority{}, err
	}
	a := authority{directory: directory, name: hostOf(directory)}
	var problems []error
	if a.roots, err = rootsFrom(c.Root); err != nil {
		problems = append(problems, fmt.Errorf("certificate authority %q: %w", c.Directory, err))
	}
	switch {
	case (c.KeyID == "") != (c.HMACKeyFile == ""):
		problems = append(problems, fmt.Errorf("certificate authority %q: the account's key ID and its key go together",
			c.Directory))
	case c.KeyID == "" && directory == certmagic.ZeroSSLProductionCA:
		problems = append(problems, fmt.Errorf("certificate authority %q: it wants an account made beforehand: "+
			"its key ID and the file with its key", c.Directory))
	case c.KeyID != "":
		secret, err := readSecret(c.HMACKeyFile, n)
		if _, other := base64.RawURLEncoding.DecodeString(strings.TrimRight(secret, "=")); err == nil && other != nil {
			err = fmt.Errorf("key %q: not base64url, the form in which authorities hand it out", c.HMACKeyFile)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("certificate authority %q: %w", c.Directory, err))
		}
		a.binding = &acme.EAB{KeyID: c.KeyID, MACKey: strings.TrimRight(secret, "=")}
	}
	return a, errors.Join(problems...)
}

// directoryURL is the URL of the directory, which may be given by name.
func (c CA) directoryURL() (string, error) {
	switch c.Directory {
	case "", "letsencrypt":
		return certmagic.LetsEncryptProductionCA, nil
	case "letsencrypt-staging":
		return certmagic.LetsEncryptStagingCA, nil
	case "zerossl":
		return certmagic.ZeroSSLProductionCA, nil
	}
	if u, err := url.Parse(c.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("certificate authority %q: want \"letsencrypt\", \"letsencrypt-staging\", "+
			"\"zerossl\" or the https URL of an ACME directory", c.Directory)
	}
	return c.Directory, nil
}

// hostOf is a URL's host, or all of what is not one.
func hostOf(directory string) string {
	if u, err := url.Parse(directory); err == nil && u.Host != "" {
		return u.Host
	}
	return directory
}

// rootsFrom reads a file of trusted roots; without one they are the system's. Without an error they are never nil,
// which certmagic would replace by its package default.
func rootsFrom(path string) (*x509.CertPool, error) {
	if path == "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("the system's trusted roots: %w", err)
		}
		return pool, nil
	}
	data, err := pemfile.Read(path, "CERTIFICATE")
	if err != nil {
		return nil, fmt.Errorf("root %q: %w", path, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("root %q: holds no certificate that can be read", path)
	}
	return pool, nil
}

// maxSecret is how many bytes a file with a secret may have.
const maxSecret = 64 << 10

// readSecret reads a small text file without the white space around it. If others can read it, that is a warning; n may
// be nil. The error begins with the file, and never repeats what is in it.
func readSecret(path string, n *notifier) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("key %q: %w", path, pemfile.WithoutPath(err))
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("key %q: not a regular file", path)
	case info.Size() > maxSecret:
		return "", fmt.Errorf("key %q: larger than %d bytes", path, maxSecret)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("key %q: %w", path, pemfile.WithoutPath(err))
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("key %q: is empty", path)
	}
	if text := pemfile.OpenToAll(path, info); text != "" && n != nil {
		n.send(Event{Kind: KindWarning, Error: text})
	}
	return secret, nil
}

// accountHook is the type of certmagic.ACMEIssuer.NewAccountFunc.
type accountHook = func(context.Context, *certmagic.ACMEIssuer, acme.Account) (acme.Account, error)

// reportTerms is certmagic's hook before it makes an account: it reports that the terms are accepted, and where they
// can be read. An authority that does not say where gets an account all the same.
func (a *acmeSource) reportTerms(by authority) accountHook {
	return func(ctx context.Context, _ *certmagic.ACMEIssuer, account acme.Account) (acme.Account, error) {
		ctx, stop := context.WithTimeout(ctx, 30*time.Second)
		defer stop()
		transport := &http.Transport{Proxy: a.proxy, TLSClientConfig: &tls.Config{RootCAs: by.roots},
			ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		client := &acme.Client{Directory: by.directory, HTTPClient: &http.Client{Transport: transport},
			UserAgent: "gate421"}
		event := Event{Kind: KindTerms, Issuer: by.name}
		if directory, err := client.GetDirectory(ctx); err == nil && directory.Meta != nil {
			event.Terms = directory.Meta.TermsOfService
		}
		a.notifier.send(event)
		return account, nil
	}
}
