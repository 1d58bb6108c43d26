package certs

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// fakeCA speaks as much of RFC 8555 as an order needs. It checks no signature.
type fakeCA struct {
	*testCA
	t        *testing.T
	server   *httptest.Server
	offers   string                          // the challenge type
	validate func(host, token string) string // what is wrong with the host's answer; token is what it is asked for
	until    time.Duration                   // how long its certificates last
	rejects  string                          // why it makes no accounts; "": it makes them

	mu       sync.Mutex
	requests int
	contact  []string
	orders   []*fakeOrder // a URL ends in the index
}

type fakeOrder struct {
	host, status, failure string
	chain                 []byte
}

func newFakeCA(t *testing.T) *fakeCA {
	f := &fakeCA{testCA: newTestCA(t), t: t, offers: acme.ChallengeTypeHTTP01, until: 20 * 24 * time.Hour,
		validate: func(string, string) string { return "" }}
	f.server = httptest.NewTLSServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// rootFile is what the directory is checked against.
func (f *fakeCA) rootFile() string {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "root.pem")
	replace(f.t, path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw}))
	return path
}

func (f *fakeCA) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func (f *fakeCA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	w.Header().Set("Replay-Nonce", fmt.Sprint(f.requests))
	at := func(path string) string { return f.server.URL + path }
	var signed struct{ Payload string }
	_ = json.NewDecoder(r.Body).Decode(&signed)
	payload, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	answer := func(status int, value any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(value)
	}
	what, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, err := strconv.Atoi(id)
	var order *fakeOrder
	if err == nil && n < len(f.orders) {
		order = f.orders[n]
	}
	switch {
	case what == "directory":
		answer(200, map[string]string{"newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order")})
	case what == "nonce":
	case what == "account" && f.rejects != "":
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(403)
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:rateLimited",
			"detail": f.rejects, "status": 403})
	case what == "account":
		var account struct{ Contact []string }
		_ = json.Unmarshal(payload, &account)
		f.contact = account.Contact
		w.Header().Set("Location", at("/account/1"))
		answer(201, map[string]any{"status": "valid", "contact": account.Contact})
	case what == "order" && order == nil:
		var wanted struct{ Identifiers []acme.Identifier }
		_ = json.Unmarshal(payload, &wanted)
		f.orders = append(f.orders, &fakeOrder{host: wanted.Identifiers[0].Value, status: "pending"})
		w.Header().Set("Location", at(fmt.Sprintf("/order/%d", len(f.orders)-1)))
		answer(201, f.order(len(f.orders)-1))
	case order == nil:
		http.NotFound(w, r)
	case what == "order":
		answer(200, f.order(n))
	case what == "authz":
		answer(200, f.authorization(n))
	case what == "challenge":
		order.status = "ready"
		if order.failure = f.validate(order.host, "token1"); order.failure != "" {
			order.status = "invalid"
		}
		answer(200, f.authorization(n)["challenges"].([]any)[0])
	case what == "finalize":
		var request struct{ CSR string }
		_ = json.Unmarshal(payload, &request)
		der, _ := base64.RawURLEncoding.DecodeString(request.CSR)
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			f.t.Error(err)
			return
		}
		order.chain, order.status = f.sign(f.t, csr.PublicKey, time.Now().Add(f.until), csr.DNSNames...), "valid"
		answer(200, f.order(n))
	case what == "certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(order.chain)
	}
}

func (f *fakeCA) order(n int) map[string]any {
	at := func(what string) string { return fmt.Sprintf("%s/%s/%d", f.server.URL, what, n) }
	return map[string]any{"status": f.orders[n].status,
		"identifiers":    []acme.Identifier{{Type: "dns", Value: f.orders[n].host}},
		"authorizations": []string{at("authz")}, "finalize": at("finalize"), "certificate": at("certificate")}
}

func (f *fakeCA) authorization(n int) map[string]any {
	order := f.orders[n]
	status := map[string]string{"pending": "pending", "invalid": "invalid"}[order.status]
	if status == "" {
		status = "valid"
	}
	challenge := map[string]any{"type": f.offers, "url": fmt.Sprintf("%s/challenge/%d", f.server.URL, n),
		"token": "token1", "status": status}
	if order.failure != "" {
		challenge["error"] = map[string]any{"type": "urn:ietf:params:acme:error:connection", "detail": order.failure,
			"status": 400}
	}
	return map[string]any{"status": status, "identifier": acme.Identifier{Type: "dns", Value: order.host},
		"challenges": []any{challenge}}
}

// overHTTP asks as an authority does for HTTP-01. Certmagic keeps the challenges of a host for the whole process: a
// test that runs beside others has a host of its own where challenges matter.
func overHTTP(certs *Certificates, host, token string) (body string, answered bool) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://"+host+"/.well-known/acme-challenge/"+token, nil)
	answered = certs.Challenge(w, r)
	return strings.TrimSpace(w.Body.String()), answered
}
