package report

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gate421/gate/audit"
)

// traffic makes records of a realistic shape: 85 of 100 requests are browsers', the rest claim to be a crawler.
type traffic struct {
	random *rand.Rand
	now    time.Time
	step   time.Duration
	urls   int
	count  int
}

func newTraffic(seed uint64) *traffic {
	return &traffic{random: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), step: 400 * time.Millisecond, urls: 20000}
}

func (m *traffic) next() *audit.Record {
	m.count++
	m.now = m.now.Add(m.step)
	r := &audit.Record{
		Time: m.now, Site: "example.com", Host: "www.example.com", Method: "GET", Path: fmt.Sprintf("/shop/item-%d?colour=red", m.random.IntN(m.urls)),
		Proto: "HTTP/2.0", ALPN: "h2", SNI: "www.example.com", ClientIP: netip.AddrFrom4([4]byte{203, 0, 113, byte(m.random.IntN(256))}),
		Agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		Rule:  "http2_crawl", State: "refuse", Action: "serve", Reason: "no_claim", Status: 200, BytesOut: 18234, Took: 4321 * time.Microsecond,
		Origin: "http://127.0.0.1:3000", OriginStatus: 200, OriginTook: 4100 * time.Microsecond, RequestID: fmt.Sprintf("0f3a9c21-%x", m.count), Config: "4be2a9c01f77",
	}
	if m.random.IntN(100) >= 85 {
		m.crawl(r)
	}
	return r
}

func (m *traffic) crawl(r *audit.Record) {
	r.Agent = "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.6778.69 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	r.Claim, r.Verdict, r.VerdictSource = "googlebot", "genuine", "cache"
	r.ClientIP = netip.AddrFrom4([4]byte{66, 249, 66, byte(m.random.IntN(256))})
	r.PTR = "crawl-" + r.ClientIP.String() + ".googlebot.com"
	switch n := m.random.IntN(100); {
	case n < 45:
		r.Proto, r.ALPN, r.Reason = "HTTP/1.1", "http/1.1", "http1"
	case n < 75:
		r.Action, r.Reason, r.Status, r.BytesOut = "refuse", "refused", 421, 98
		r.Origin, r.OriginStatus, r.OriginTook = "", 0, 0
	case n < 80:
		r.Rule, r.State, r.Reason, r.Would = "/shop/", "observe", "observed", "refuse"
	case n < 95:
		r.Verdict, r.Reason, r.PTR = "impostor", "impostor", "static.example.net"
		r.ClientIP = netip.AddrFrom4([4]byte{198, 51, byte(m.random.IntN(100)), 7})
	default:
		r.Verdict, r.Reason, r.VerdictCause = "unknown", "unverified", "timeout"
	}
}

// writeTraffic writes n records with the real log and returns the file.
func writeTraffic(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "decisions.log")
	l, err := audit.Open(audit.Config{File: path, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	m := newTraffic(1)
	for m.count < n {
		l.Decision(m.next())
		if m.count%4096 == 4095 { // never more than fits into the queue
			flushed(t, l, m)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// flushed writes a refusal, which returns when everything before it is written.
func flushed(t testing.TB, l *audit.Log, m *traffic) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		r := m.next()
		r.RequestID = ""
		err := l.Refusal(r)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func examineFile(t testing.TB, q Question, paths ...string) *Report {
	t.Helper()
	sources, err := OpenSources(paths, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Examine(t.Context(), q, sources)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// BenchmarkExamine reads a log of the size that GATE421_BENCH_RECORDS says, made by the real log.
func BenchmarkExamine(b *testing.B) {
	records := 200_000
	fmt.Sscan(os.Getenv("GATE421_BENCH_RECORDS"), &records)
	path := writeTraffic(b, records)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(info.Size())
			var lines int64
			for b.Loop() {
				lines += examineFile(b, Question{Workers: workers}, path).Log.Lines
			}
			b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
