package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gate421/gate/audit"
	"gate421/gate/policy"
	"gate421/verify"

	"pgregory.net/rapid"
)

const crawlerAgent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

// journal is a log in memory that can be broken.
type journal struct {
	mu       sync.Mutex
	down     bool // Ready says no
	failing  bool // Ready says yes, and then the write fails
	records  []audit.Record
	refusals int
}

func (j *journal) Ready() bool { j.mu.Lock(); defer j.mu.Unlock(); return !j.down }

func (j *journal) Decision(r *audit.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, *r)
}

func (j *journal) Event(string, audit.Fields) {}

func (j *journal) Refusal(r *audit.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failing || j.down {
		return errors.New("disk full")
	}
	j.refusals++
	j.records = append(j.records, *r)
	return nil
}

// oracle gives one verdict to all.
type oracle struct {
	result verify.Result
	asked  atomic.Int32
}

func (o *oracle) Identify(context.Context, string, netip.Addr) verify.Result {
	o.asked.Add(1)
	return o.result
}

func (o *oracle) IdentifyAsync(_ string, _ netip.Addr, done func(verify.Result)) { done(o.result) }

// backend is an origin that does as it is told.
type backend func(http.ResponseWriter, *http.Request) (int, time.Duration, error)

func (b backend) Serve(w http.ResponseWriter, r *http.Request) (string, int, time.Duration, error) {
	status, first, err := b(w, r)
	return "", status, first, err
}

func (b backend) String() string { return "http://127.0.0.1:3000" }

func fine(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
	w.WriteHeader(200)
	io.WriteString(w, "hello")
	return 200, time.Millisecond, nil
}

// watcher is a guard that counts.
type watcher struct{ tripped, refused, back int }

func (w *watcher) Armed(_, _ string) bool { return w.tripped == 0 }
func (w *watcher) Refused(_, _ string)    { w.refused++ }
func (w *watcher) CameBack(_, _ string)   { w.back++ }

type fixture struct {
	handler *Handler
	log     *journal
	oracle  *oracle
	guard   *watcher
}

func setup(t testing.TB, state policy.State, origin backend, paths ...policy.Rule) *fixture {
	t.Helper()
	rules, err := policy.New(
		[]policy.Spec{{Hosts: []string{"example.com", "www.example.com"}, State: state, Paths: paths}},
	)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := verify.NewClaims([]string{"googlebot"})
	if err != nil {
		t.Fatal(err)
	}
	live := &atomic.Pointer[Live]{}
	live.Store(
		&Live{
			Policy:  rules,
			Claims:  claims,
			Origins: map[*policy.Site]Origin{rules.Sites()[0]: origin},
			Version: "0123456789ab",
		},
	)
	f := &fixture{
		log: &journal{},
		oracle: &oracle{
			result: verify.Result{
				Verdict: verify.Genuine,
				Source:  "dns",
				PTR:     "crawl-66-249-66-1.googlebot.com",
				Took:    time.Millisecond,
			},
		},
		guard: &watcher{},
	}
	f.handler = &Handler{Live: live, Verifier: f.oracle, Guard: f.guard, Log: f.log}
	return f
}

func request(proto int, host, path, agent string) *http.Request {
	r := httptest.NewRequest("GET", "https://"+host+path, nil)
	r.RequestURI = path
	r.RemoteAddr = "66.249.66.1:4711"
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	if proto == 2 {
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	}
	r.Header.Set("User-Agent", agent)
	return r
}

// do serves one request and returns the answer and the records, times and ids blanked.
func (f *fixture) do(r *http.Request) (*httptest.ResponseRecorder, []audit.Record) {
	w := httptest.NewRecorder()
	func() {
		defer func() { recover() }()
		f.handler.ServeHTTP(w, r)
	}()
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	records := f.log.records
	f.log.records = nil
	for i := range records {
		if records[i].RequestID == "" {
			records[i].RequestID = "missing"
		} else {
			records[i].RequestID = ""
		}
		records[i].Took, records[i].Time = 0, time.Time{}
	}
	return w, records
}

func TestRefusal(t *testing.T) {
	f := setup(t, policy.Refuse, fine)
	w, records := f.do(request(2, "WWW.example.com:443", "/shop/?q=1", crawlerAgent))
	if w.Code != 421 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Connection") != "close" ||
		w.Header().
			Get("Set-Cookie") !=
			"" || w.Header().Get("Alt-Svc") != "" || strings.Count(w.Body.String(), "\n") != 1 {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
	want := audit.Record{
		Site: "example.com", Host: "www.example.com", Method: "GET", Path: "/shop/?q=1", Proto: "HTTP/2.0", SNI: "www.example.com", ClientIP: netip.MustParseAddr("66.249.66.1"),
		Agent: crawlerAgent, Claim: "googlebot", Verdict: "genuine", VerdictSource: "dns", PTR: "crawl-66-249-66-1.googlebot.com", Verify: time.Millisecond,
		Rule: "http2_crawl", State: "refuse", Action: "refuse", Reason: "refused", Status: 421, BytesOut: int64(w.Body.Len()), Config: "0123456789ab",
	}
	if len(records) == 1 {
		records[0].SNI = "www.example.com" // httptest's TLS state names the URL's host, port and all
	}
	if len(records) != 1 || records[0] != want {
		t.Errorf("got  %+v\nwant %+v", records, want)
	}
	if f.guard.refused != 1 {
		t.Errorf("the guard counted %d", f.guard.refused)
	}
}

func TestRefusalOfHeadHasNoBody(t *testing.T) {
	f := setup(t, policy.Refuse, fine)
	r := request(2, "example.com", "/", crawlerAgent)
	r.Method = "HEAD"
	w, records := f.do(r)
	if w.Code != 421 || w.Body.Len() != 0 || len(records) != 1 || records[0].BytesOut != 0 {
		t.Errorf("%d %q %+v", w.Code, w.Body, records)
	}
}

func TestMixedSiteKeepsTheConnection(t *testing.T) {
	f := setup(t, policy.Refuse, fine, policy.Rule{Pattern: "/downloads/", State: policy.Allow})
	if w, _ := f.do(request(2, "example.com", "/", crawlerAgent)); w.Code != 421 || w.Header().Get("Connection") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestServedAnswers(t *testing.T) {
	tidy := func(c audit.Record) audit.Record { c.OriginTook = 0; return c }
	cut := fmt.Errorf("reset: %w", http.ErrAbortHandler)
	for _, test := range []struct {
		name   string
		origin backend
		want   audit.Record // of these fields: Status, BytesOut, Origin, OriginStatus, OriginError
	}{
		{"fine", fine, audit.Record{Status: 200, BytesOut: 5, OriginStatus: 200}},
		{"says nothing", func(http.ResponseWriter, *http.Request) (int, time.Duration, error) { return 0, 0, nil }, audit.Record{Status: 200}},
		{"early hints first", func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
			w.WriteHeader(103)
			w.WriteHeader(404)
			return 404, 0, nil
		}, audit.Record{Status: 404, OriginStatus: 404}},
		{"bad gateway", func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
			w.WriteHeader(502)
			return 0, 0, errors.New("refused")
		}, audit.Record{Status: 502, OriginError: "refused"}},
		{"dies in the body", func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
			io.WriteString(w, "half")
			return 200, 0, cut
		}, audit.Record{Status: 200, BytesOut: 4, OriginStatus: 200, OriginError: cut.Error()}},
		{"panics", func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
			io.WriteString(w, "ha")
			panic("a bug")
		}, audit.Record{Status: 200, BytesOut: 2, OriginError: "panic"}},
		{"panics before it says anything", func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) { panic("a bug") }, audit.Record{OriginError: "panic"}},
	} {
		f := setup(t, policy.Refuse, test.origin)
		_, records := f.do(request(2, "example.com", "/", "curl/8"))
		if len(records) != 1 {
			t.Errorf("%s: %d records", test.name, len(records))
			continue
		}
		got := tidy(records[0])
		got = audit.Record{
			Status:       got.Status,
			BytesOut:     got.BytesOut,
			OriginStatus: got.OriginStatus,
			OriginError:  got.OriginError,
		}
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestUnknownHostAndMisdirected(t *testing.T) {
	f := setup(t, policy.Refuse, fine)
	for proto, status := range map[int]int{1: 404, 2: 421} {
		w, records := f.do(request(proto, "elsewhere.example", "/", crawlerAgent))
		if w.Code != status || len(records) != 1 || records[0].Reason != "unknown_host" ||
			records[0].Status != status ||
			records[0].Action != "reject" {
			t.Errorf("HTTP/%d: %d %+v", proto, w.Code, records)
		}
	}
	f.handler.Covers = func(*http.Request, string) bool { return false }
	if w, records := f.do(request(2, "example.com", "/", "curl/8")); w.Code != 421 ||
		records[0].Reason != "misdirected" {
		t.Errorf("%d %+v", w.Code, records)
	}
	if w, records := f.do(request(1, "example.com", "/", "curl/8")); w.Code != 200 || records[0].Reason != "http1" {
		t.Errorf("HTTP/1.1 on another host's connection: %d %+v", w.Code, records)
	}
}

func TestComeBack(t *testing.T) {
	f := setup(t, policy.Refuse, fine)
	w, records := f.do(request(1, "example.com", "/shop/", crawlerAgent))
	if w.Code != 200 || len(records) != 1 || records[0].Verdict != "genuine" || records[0].Reason != "http1" ||
		f.guard.back != 1 {
		t.Errorf("%d %+v, %d come-backs", w.Code, records, f.guard.back)
	}
	if f.oracle.asked.Load() != 0 {
		t.Error("an HTTP/1.1 request waited for its verdict")
	}
	f.oracle.result = verify.Result{Verdict: verify.Impostor}
	if f.do(request(1, "example.com", "/shop/", crawlerAgent)); f.guard.back != 1 {
		t.Error("an impostor came back")
	}
}

// TestAllowedIsVerifiedInTheBackground has claims that the rule lets in over HTTP/2: nobody waits, and the line has the
// verdict.
func TestAllowedIsVerifiedInTheBackground(t *testing.T) {
	for _, verdict := range []verify.Verdict{verify.Genuine, verify.Impostor, verify.Unknown} {
		f := setup(t, policy.Allow, fine)
		f.oracle.result = verify.Result{Verdict: verdict}
		w, records := f.do(request(2, "example.com", "/shop/", crawlerAgent))
		if w.Code != 200 || len(records) != 1 || records[0].Verdict != verdict.String() ||
			records[0].Reason != "allowed" ||
			records[0].Would != "" {
			t.Errorf("%v: %d %+v", verdict, w.Code, records)
		}
		if f.oracle.asked.Load() != 0 || f.guard.back != 0 {
			t.Errorf("%v: %d waited for a verdict, %d come-backs", verdict, f.oracle.asked.Load(), f.guard.back)
		}
	}
	f := setup(t, policy.Allow, fine)
	f.handler.Covers = func(*http.Request, string) bool { return false }
	if _, records := f.do(request(2, "example.com", "/", crawlerAgent)); records[0].Reason != "misdirected" ||
		records[0].Verdict != "" {
		t.Errorf("a claim that was not served: %+v", records)
	}
}

func TestAltSvcIsDroppedWhereTheSiteRefuses(t *testing.T) {
	offer := func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
		w.Header().Set("Alt-Svc", `h3=":443"`)
		return fine(w, r)
	}
	for state, want := range map[policy.State]string{policy.Refuse: "", policy.Observe: `h3=":443"`} {
		f := setup(t, state, offer)
		if w, _ := f.do(request(2, "example.com", "/", "curl/8")); w.Header().Get("Alt-Svc") != want {
			t.Errorf("%v: Alt-Svc %q", state, w.Header().Get("Alt-Svc"))
		}
	}
}

// checked is a writer that sees a refusal's first byte and asks whether its line was there by then.
type checked struct {
	*httptest.ResponseRecorder
	log    *journal
	before int
	early  bool
}

func (c *checked) WriteHeader(status int) {
	if status == 421 {
		c.log.mu.Lock()
		c.early = c.early || c.log.refusals == c.before
		c.log.mu.Unlock()
	}
	c.ResponseRecorder.WriteHeader(status)
}

// The four laws at the handler, over generated configurations, requests and troubles: one record a request, and the
// record tells what the client got.
func TestLawsOverGeneratedRequests(t *testing.T) {
	refused := 0
	rapid.Check(t, func(rt *rapid.T) {
		state := rapid.SampledFrom([]policy.State{policy.Refuse, policy.Refuse, policy.Observe, policy.Allow})
		var paths []policy.Rule
		if rapid.Bool().Draw(rt, "has a path rule") {
			paths = append(
				paths,
				policy.Rule{
					Pattern: rapid.SampledFrom([]string{"/shop/", "/*.pdf$", "/robots.txt$", "/"}).Draw(rt, "pattern"),
					State:   state.Draw(rt, "path state"),
				},
			)
		}
		origin := rapid.SampledFrom([]backend{fine, fine, func(http.ResponseWriter, *http.Request) (int, time.Duration, error) { panic("a bug") },
			func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
				io.WriteString(w, "half")
				return 200, 0, http.ErrAbortHandler
			}}).
			Draw(rt, "origin")
		f := setup(t, state.Draw(rt, "state"), origin, paths...)
		f.oracle.result.Verdict = rapid.SampledFrom([]verify.Verdict{verify.Genuine, verify.Genuine, verify.Genuine, verify.Impostor, verify.Unknown}).
			Draw(rt, "verdict")
		seldom := rapid.SampledFrom([]bool{false, false, false, true})
		protos, hosts, agents := []int{
			1,
			2,
			2,
			2,
		}, []string{
			"example.com",
			"example.com",
			"other.example",
		}, []string{
			crawlerAgent,
			crawlerAgent,
			"curl/8",
			"",
		}
		if rapid.Bool().
			Draw(rt, "calm") { // nothing but the rules is in a refusal's way: chance alone brings too few of them
			f.oracle.result.Verdict, seldom = verify.Genuine, rapid.Just(false)
			protos, hosts, agents = protos[1:], hosts[:1], agents[:1]
		}
		f.log.down, f.log.failing = seldom.Draw(rt, "log down"), seldom.Draw(rt, "log failing")
		if seldom.Draw(rt, "tripped") {
			f.guard.tripped = 1
		}
		if seldom.Draw(rt, "no verifier") {
			f.handler.Verifier = nil
		}
		r := request(
			rapid.SampledFrom(protos).Draw(rt, "proto"),
			rapid.SampledFrom(hosts).Draw(rt, "host"),
			rapid.SampledFrom([]string{"/", "/shop/x", "/a.pdf", "/robots.txt"}).
				Draw(rt, "path"),
			rapid.SampledFrom(agents).Draw(rt, "agent"),
		)
		r.Method = rapid.SampledFrom([]string{"GET", "HEAD", "POST"}).Draw(rt, "method")
		w := &checked{ResponseRecorder: httptest.NewRecorder(), log: f.log}
		func() {
			defer func() { recover() }()
			f.handler.ServeHTTP(w, r)
		}()
		if len(f.log.records) != 1 {
			rt.Fatalf("%d records", len(f.log.records))
		}
		record := f.log.records[0]
		is421 := w.Code == 421
		if is421 && r.ProtoMajor < 2 {
			rt.Fatalf("421 over HTTP/1.1")
		}
		if is421 && record.Reason == "refused" {
			refused++
			if f.oracle.result.Verdict != verify.Genuine || f.handler.Verifier == nil || r.UserAgent() != crawlerAgent {
				rt.Fatalf("refused without proof: %+v", record)
			}
			if w.early {
				rt.Fatal("the 421 was out before its line")
			}
			if r.URL.Path == "/robots.txt" && record.Rule != "/robots.txt$" {
				rt.Fatalf("/robots.txt refused by %q", record.Rule)
			}
		} else if is421 && record.Action != "reject" {
			rt.Fatalf("421 without a reason: %+v", record)
		}
		if record.Reason == "refused" && (!is421 || record.Status != 421 || f.log.refusals != 1) {
			rt.Fatalf("the record says refused, the client got %d", w.Code)
		}
		if (f.log.down || f.log.failing) && record.Action == "refuse" {
			rt.Fatal("refused with a broken log")
		}
	})
	if refused == 0 {
		t.Fatal("nothing was refused: the property says nothing")
	}
}

func TestFailingLogServes(t *testing.T) {
	f := setup(t, policy.Refuse, fine)
	f.log.failing = true
	w, records := f.do(request(2, "example.com", "/", crawlerAgent))
	if w.Code != 200 || len(records) != 1 || records[0].Reason != "log_unavailable" ||
		records[0].Verdict != "genuine" ||
		records[0].Status != 200 ||
		f.guard.refused != 0 {
		t.Errorf("%d %+v", w.Code, records)
	}
	if f.oracle.asked.Load() != 1 {
		t.Errorf("asked %d times", f.oracle.asked.Load())
	}
}

func TestRedirect(t *testing.T) {
	f := setup(t, policy.Refuse, fine)
	h := &Redirect{Live: f.handler.Live, Log: f.log, Port: "8443"}
	for _, test := range []struct {
		method, target string
		status         int
		location       string
	}{
		{"GET", "http://example.com/a%2Fb?c=%20", 301, "https://example.com:8443/a%2Fb?c=%20"},
		{"POST", "http://www.EXAMPLE.com:80/", 308, "https://www.example.com:8443/"},
		{"GET", "http://evil.example/", 404, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(test.method, test.target, nil))
		if w.Code != test.status || w.Header().Get("Location") != test.location {
			t.Errorf("%s %s: %d %q", test.method, test.target, w.Code, w.Header().Get("Location"))
		}
	}
	if len(f.log.records) != 3 || f.log.records[0].Reason != "plain_http" || f.log.records[2].Reason != "unknown_host" {
		t.Errorf("%+v", f.log.records)
	}
}

func TestHostname(t *testing.T) {
	for in, want := range map[string]string{
		"example.com": "example.com", "EXAMPLE.com:443": "example.com", "example.com.": "example.com", "[::1]:443": "::1", "[::1]": "::1", "": "", ":443": "", "a:b:c": "a:b",
	} {
		if got := hostname(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestClientIP(t *testing.T) {
	for in, want := range map[string]string{"66.249.66.1:1": "66.249.66.1", "[::ffff:66.249.66.1]:1": "66.249.66.1", "[fe80::1%eth0]:1": "fe80::1"} {
		if got := clientIP(in); got.String() != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
	if clientIP("@").IsValid() || clientIP("").IsValid() {
		t.Error("no address became one")
	}
}

func BenchmarkHandler(b *testing.B) {
	for _, bench := range []struct {
		name  string
		proto int
		agent string
	}{{"refuse", 2, crawlerAgent}, {"serve", 2, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}} {
		b.Run(bench.name, func(b *testing.B) {
			f := setup(b, policy.Refuse,
				func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) { return 200, 0, nil })
			f.handler.Log = forgetful{}
			r := request(bench.proto, "example.com", "/shop/", bench.agent)
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				f.handler.ServeHTTP(w, r)
			}
		})
	}
}

type forgetful struct{}

func (forgetful) Ready() bool                 { return true }
func (forgetful) Decision(*audit.Record)      {}
func (forgetful) Refusal(*audit.Record) error { return nil }
func (forgetful) Event(string, audit.Fields)  {}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
