package certs

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/cloudflare"
	"github.com/libdns/libdns"
	"github.com/libdns/rfc2136"
)

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDNSKeys(t *testing.T) {
	t.Parallel()
	const generated = "key \"gate421-update\" {\n\talgorithm hmac-sha512;\n\tsecret \"c2VjcmV0\";\n};\n"
	for _, test := range []struct {
		name string
		d    DNS
		want rfc2136.Provider
		err  string
	}{
		{"as tsig-keygen writes it", DNS{KeyFile: secretFile(t, generated)},
			rfc2136.Provider{KeyName: "gate421-update", KeyAlg: "hmac-sha512", Key: "c2VjcmV0"}, ""},
		{"and named as in it", DNS{KeyFile: secretFile(t, generated), KeyName: "gate421-update",
			KeyAlgorithm: "hmac-sha512"}, rfc2136.Provider{KeyName: "gate421-update", KeyAlg: "hmac-sha512",
			Key: "c2VjcmV0"}, ""},
		{"alone", DNS{KeyFile: secretFile(t, "c2VjcmV0\n"), KeyName: "update"},
			rfc2136.Provider{KeyName: "update", KeyAlg: "hmac-sha256", Key: "c2VjcmV0"}, ""},
		{"named otherwise", DNS{KeyFile: secretFile(t, generated), KeyName: "other"}, rfc2136.Provider{},
			`it is named "gate421-update" and is for hmac-sha512`},
		{"without a name", DNS{KeyFile: secretFile(t, "c2VjcmV0")}, rfc2136.Provider{}, "its name is missing"},
		{"no key at all", DNS{KeyFile: secretFile(t, "hello world"), KeyName: "update"}, rfc2136.Provider{},
			"neither what tsig-keygen writes nor a secret in base64"},
		{"half a key", DNS{KeyFile: secretFile(t, "key x { algorithm hmac-sha256; };")}, rfc2136.Provider{},
			"a name, an algorithm and a secret"},
		{"an algorithm of old", DNS{KeyFile: secretFile(t, "c2VjcmV0"), KeyName: "update", KeyAlgorithm: "hmac-md5"},
			rfc2136.Provider{}, `key algorithm "hmac-md5"`},
		{"empty", DNS{KeyFile: secretFile(t, "\n"), KeyName: "update"}, rfc2136.Provider{}, "is empty"},
		{"not there", DNS{KeyFile: "/nowhere/key", KeyName: "update"}, rfc2136.Provider{}, `key "/nowhere/key": `},
	} {
		test.d.Provider, test.d.Server, test.d.Resolvers = ProviderRFC2136, "192.0.2.53:53", []string{"192.0.2.53:53"}
		test.want.Server = test.d.Server
		provider, err := test.d.open(nil)
		switch {
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) ||
			strings.Contains(err.Error(), "c2VjcmV0")):
			t.Errorf("%s: want %q in: %v", test.name, test.err, err)
		case test.err == "" && (err != nil || !reflect.DeepEqual(provider, &test.want)):
			t.Errorf("%s: got %+v, %v, want %+v", test.name, provider, err, test.want)
		}
	}
}

func TestDNSErrors(t *testing.T) {
	t.Parallel()
	key := secretFile(t, "c2VjcmV0")
	for _, test := range []struct {
		d    DNS
		want string
	}{
		{DNS{}, `DNS provider "": want "rfc2136", "acme-dns" or "cloudflare"`},
		{DNS{Provider: ProviderRFC2136, Server: "ns.example.com:53", KeyFile: key, KeyName: "x"},
			`server "ns.example.com:53": want an IP address and a port`},
		{DNS{Provider: ProviderCloudflare, TokenFile: key, Resolvers: []string{"192.0.2.53"}},
			`server "192.0.2.53": want an IP address and a port`},
		{DNS{Provider: ProviderCloudflare, TokenFile: "/nowhere/token"}, `key "/nowhere/token": `},
		{DNS{Provider: ProviderCloudflare, TokenFile: t.TempDir()}, "not a regular file"},
		{DNS{Provider: ProviderCloudflare, TokenFile: key, DelegatedTo: "a b"}, "want ASCII letters"},
		{DNS{Provider: ProviderACMEDNS, Server: "auth.example.com", AccountFile: key},
			"not JSON as the server's /register answers it"},
		{DNS{Provider: ProviderACMEDNS, Server: "auth.example.com", AccountFile: secretFile(t, "{}")},
			`server "auth.example.com": want its URL`},
		{DNS{Provider: ProviderACMEDNS, Server: "https://auth.example.com",
			AccountFile: secretFile(t, `{"a.example": {"username": "u"}}`)}, `the account of "a.example" wants`},
	} {
		if _, err := test.d.open(nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want %q in: %v", test.want, err)
		}
	}
	c := Config{Source: SourceACME, Hosts: []string{"*.b.example"}, Folder: t.TempDir(), DNS: &DNS{}}
	if _, err := Open(t.Context(), c); err == nil || Check(c) == nil {
		t.Errorf("got %v from Open and %v from Check, want an error from both", err, Check(c))
	}
}

// The solver has nothing from certmagic's globals: its resolvers are those configured, and certmagic asks no other.
func TestSolverIsOurs(t *testing.T) {
	t.Parallel()
	for propagation, want := range map[time.Duration]time.Duration{0: 2 * time.Minute, -5: -1,
		time.Second: time.Second} {
		d := &DNS{Resolvers: []string{"127.0.0.1:9"}, Propagation: propagation, DelegatedTo: "x.example"}
		s := d.solver(&rfc2136.Provider{}, logger{})
		if s.PropagationTimeout != want || !slices.Equal(s.Resolvers, d.Resolvers) || s.OverrideDomain != "x.example" ||
			s.TTL == 0 {
			t.Errorf("%v: got the timeout %v and the resolvers %q, want %v and %q", propagation, s.PropagationTimeout,
				s.Resolvers, want, d.Resolvers)
		}
	}
	for path, want := range map[string]bool{
		secretFile(t, "search example\nnameserver 192.0.2.53\n"): true,
		secretFile(t, "# nameserver\n"):                          false,
		"/nowhere":                                               false,
	} {
		if got := namesServers(path); got != want {
			t.Errorf("%s names a server: got %v, want %v", path, got, want)
		}
	}
}

// A redirect does not carry the account's password to another server.
func TestACMEDNSFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var sent atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		sent.Store(r.Header.Get("X-Api-Key") != "")
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1),
		http.StatusTemporaryRedirect))
	defer server.Close()
	d := DNS{Provider: ProviderACMEDNS, Server: server.URL, Resolvers: []string{"127.0.0.1:9"},
		AccountFile: secretFile(t, `{"username": "u", "password": "p", "subdomain": "s"}`)}
	provider, err := d.open(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.(*acmeDNS).client.CloseIdleConnections)
	_, err = provider.AppendRecords(t.Context(), "a.example.",
		[]libdns.Record{libdns.RR{Type: "TXT", Name: "_acme-challenge", Data: "value"}})
	if sent.Load() || err == nil || !strings.Contains(err.Error(), "status 307") {
		t.Errorf("the password was sent on: %v, want false; got error %v, want the status 307", sent.Load(), err)
	}
}

// acme-dns keeps one account a host, or one for all.
func TestACMEDNS(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.Join([]string{r.Method, r.URL.Path, r.Header.Get("X-Api-User"),
			r.Header.Get("X-Api-Key"), string(body)}, " "))
		if r.Header.Get("X-Api-Key") != "p" {
			http.Error(w, `{"error": "forbidden"}`, http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	open := func(account string) certmagic.DNSProvider {
		d := DNS{Provider: ProviderACMEDNS, Server: server.URL + "/", AccountFile: secretFile(t, account),
			Resolvers: []string{"127.0.0.1:9"}}
		provider, err := d.open(nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(provider.(*acmeDNS).client.CloseIdleConnections)
		return provider
	}
	record := []libdns.Record{libdns.RR{Type: "TXT", Name: "_acme-challenge", Data: "value"}}
	for account, want := range map[string]string{
		`{"username": "u", "password": "p", "subdomain": "s", "fulldomain": "s.auth.example", "allowfrom": []}`: "",
		`{"a.example": {"username": "u", "password": "p", "subdomain": "s"}}`:                                   "",
		`{"username": "u", "password": "wrong", "subdomain": "s"}`:                                              `acme-dns server: status 401: {"error": "forbidden"}`,
		`{"b.example": {"username": "u", "password": "p", "subdomain": "s"}}`:                                   `acme-dns: there is no account for "a.example"`,
	} {
		provider := open(account)
		added, err := provider.AppendRecords(t.Context(), "a.example.", record)
		if want == "" && (err != nil || !reflect.DeepEqual(added, record)) || want != "" &&
			(err == nil || err.Error() != want) {
			t.Errorf("%s: got %v, %v, want the record or %q", account, added, err, want)
		}
		if _, err := provider.DeleteRecords(t.Context(), "a.example.", record); err != nil {
			t.Error(err)
		}
		if _, err := provider.AppendRecords(t.Context(), "a.example.",
			[]libdns.Record{libdns.RR{Type: "A", Name: "x"}}); err == nil {
			t.Error("an A record: got no error")
		}
	}
	if wanted := `POST /update u p {"subdomain":"s","txt":"value"}`; len(got) != 3 || !slices.Contains(got, wanted) {
		t.Errorf("got requests %q, want 3, all as %q", got, wanted)
	}
}

// cloud responds as Cloudflare's API does.
type cloud struct {
	mu      sync.Mutex
	records map[string]string
	tokens  []string
}

func (c *cloud) Do(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = append(c.tokens, r.Header.Get("Authorization"))
	answer := func(result any) (*http.Response, error) {
		text, err := json.Marshal(map[string]any{"success": true, "result": result,
			"result_info": map[string]int{"page": 1, "per_page": 100, "total_count": 1}})
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text)),
			Request: r}, err
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/zones"):
		return answer([]map[string]any{{"id": "z1", "name": r.URL.Query().Get("name")}})
	case r.Method == http.MethodPost:
		var record map[string]any
		if err := json.NewDecoder(r.Body).Decode(&record); err != nil {
			return nil, err
		}
		name, _ := record["name"].(string)
		c.records["r1"], _ = record["content"].(string)
		return answer(map[string]any{"id": "r1", "zone_id": "z1", "zone_name": "a.example", "name": name, "type": "TXT",
			"content": record["content"]})
	case r.Method == http.MethodDelete:
		delete(c.records, "r1")
		return answer(map[string]any{"id": "r1"})
	}
	return answer([]map[string]any{{"id": "r1", "zone_id": "z1", "zone_name": "a.example",
		"name": "_acme-challenge.a.example", "type": "TXT", "content": c.records["r1"]}})
}

// The library for Cloudflare works with the others' versions: a record is added and deleted.
func TestCloudflare(t *testing.T) {
	t.Parallel()
	d := DNS{Provider: ProviderCloudflare, TokenFile: secretFile(t, "token-1\n"), Resolvers: []string{"127.0.0.1:9"}}
	provider, err := d.open(nil)
	if err != nil {
		t.Fatal(err)
	}
	api := &cloud{records: map[string]string{}}
	provider.(*cloudflare.Provider).HTTPClient = api
	added, err := provider.AppendRecords(t.Context(), "a.example.",
		[]libdns.Record{libdns.TXT{Name: "_acme-challenge", Text: "value"}})
	if err != nil || len(added) != 1 || added[0].RR().Data != "value" || len(api.records) != 1 {
		t.Fatalf("got %v, %v, and the API has %q, want one record", added, err, api.records)
	}
	if _, err := provider.DeleteRecords(t.Context(), "a.example.", added); err != nil || len(api.records) != 0 {
		t.Errorf("got %v, and the API has %q, want no record", err, api.records)
	}
	for _, token := range api.tokens {
		if token != "Bearer token-1" {
			t.Errorf("got the token %q, want %q", token, "Bearer token-1")
		}
	}
}
