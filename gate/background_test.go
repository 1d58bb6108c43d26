package gate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gate421/gate/policy"
	"gate421/verify"
)

// silent is a Verifier whose DNS says nothing until it is told to.
type silent struct {
	oracle
	mu   sync.Mutex
	done []func(verify.Result)
}

func (s *silent) IdentifyAsync(_ string, _ netip.Addr, done func(verify.Result)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, done)
}

func (s *silent) answer(r verify.Result) {
	for _, done := range s.done {
		done(r)
	}
	s.done = nil
}

// heavy is a request whose texts lie in one piece of memory with the rest of its head, as a parser leaves them.
func heavy(n, path int) *http.Request {
	text := fmt.Sprintf("GET /%08d%s HTTP/1.1\r\nHost: example.com\r\nUser-Agent: %s\r\nCookie: %s\r\n\r\n", n,
		strings.Repeat("p", path), crawlerAgent, strings.Repeat("c", 30<<10))
	within := func(part string) string {
		i := strings.Index(text, part)
		return text[i : i+len(part)]
	}
	target := text[len("GET "):strings.Index(text, " HTTP/")]
	r := httptest.NewRequest("GET", "/", nil)
	r.Method, r.Host, r.RequestURI, r.Proto = within("GET"), within("example.com"), target, within("HTTP/1.1")
	r.Header = http.Header{"User-Agent": {within(crawlerAgent)}, "Cookie": {text[len(text)-30<<10:]}}
	r.RemoteAddr, r.ProtoMajor, r.ProtoMinor = "192.0.2.1:1234", 1, 1
	return r
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// While the DNS is silent the records that wait for it hold themselves and nothing of their requests: a head of 30 KiB
// each here. In all they are bounded, and each gets its line.
func TestWaitingRecordsHoldLittle(t *testing.T) {
	f := setup(t, policy.Refuse, fine)
	v, log, h := &silent{}, f.log, f.handler
	h.Verifier = v
	const some = 2000
	before := heap()
	for n := range some {
		h.ServeHTTP(httptest.NewRecorder(), heavy(n, 10))
	}
	each := (heap() - before) / some
	t.Logf("%d bytes a record", each)
	if each > 2000 {
		t.Errorf("%d bytes are held by each of the records", each)
	}
	if len(log.records) != 0 {
		t.Errorf("%d lines before there is a verdict", len(log.records))
	}
	v.answer(verify.Result{Verdict: verify.Genuine, Source: verify.SourceDNS})
	if len(log.records) != some || log.records[some-1].Verdict != "genuine" ||
		log.records[7].Path != "/00000007pppppppppp" ||
		log.records[7].Host != "example.com" {
		t.Errorf("%d lines, %+v", len(log.records), log.records[7])
	}
	log.records = nil
	const many = 2 * mostWaiting / 2800
	for n := range many {
		h.ServeHTTP(httptest.NewRecorder(), heavy(n, 3000))
	}
	if waiting := h.waiting.Load(); waiting > mostWaiting || len(log.records) < many/3 ||
		log.records[0].VerdictCause != verify.CauseBudget {
		t.Errorf("%d bytes wait, %d lines were written meanwhile", waiting, len(log.records))
	}
	v.answer(verify.Result{Cause: verify.CauseTimeout})
	if len(log.records) != many || h.waiting.Load() != 0 {
		t.Errorf("%d lines of %d, %d bytes still wait", len(log.records), many, h.waiting.Load())
	}
	runtime.KeepAlive(h)
}
