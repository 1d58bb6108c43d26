// Package logstest answers one question: what does a decision log look like, for tests that read one?
package logstest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"gate421/gate/audit"
)

// Line is a decision on a request of the verified crawler at a minute of 22 November 2026, with its end: over HTTP/2 it
// was refused, over anything else it was served. Its boot is b1, its request r and seq. more are further fields, each
// after a comma; they override those before.
func Line(minute, seq int, proto, path, more string) string {
	action, reason, status := "refuse", "refused", 421
	if proto != "HTTP/2.0" {
		action, reason, status = "serve", "http1", 200
	}
	at := time.Date(2026, 11, 22, 0, minute, 0, 0, time.UTC).Format("2006-01-02T15:04:05.000000Z")
	return fmt.Sprintf(`{"v":1,"time":%q,"boot":"b1","seq":%d,"event":"decision","site":"a.test","host":"a.test",`+
		`"path":%q,"proto":%q,"claim":"googlebot","verdict":"genuine","rule":"http2_crawl","state":"refuse",`+
		`"action":%q,"reason":%q,"status":%d,"request_id":"r%d"%s}`+"\n", at, seq, path, proto, action, reason, status,
		seq, more)
}

// Lines are n lines of traffic as the log writes them.
func Lines(t testing.TB, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	l, err := audit.Open(audit.Config{File: "-", Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	for m := newTraffic(7); m.count < n; {
		l.Decision(m.next())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// File writes n records of traffic with the real log and returns the path of the file.
func File(t testing.TB, n int) string {
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
			flush(t, l, m)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// flush writes a refusal, which returns when everything before it is written.
func flush(t testing.TB, l *audit.Log, m *traffic) {
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

// traffic makes records of a realistic shape: 85 of 100 requests are browsers', the rest claim to be a crawler.
type traffic struct {
	random *rand.Rand
	now    time.Time
	step   time.Duration
	urls   int
	count  int
}

func newTraffic(seed uint64) *traffic {
	return &traffic{random: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		step: 400 * time.Millisecond, urls: 20000}
}

func (t *traffic) next() *audit.Record {
	t.count++
	t.now = t.now.Add(t.step)
	r := &audit.Record{
		Time: t.now, Site: "example.com", Host: "www.example.com", Method: "GET",
		Path:  fmt.Sprintf("/shop/item-%d?colour=red", t.random.IntN(t.urls)),
		Proto: "HTTP/2.0", ALPN: "h2", SNI: "www.example.com",
		ClientIP: netip.AddrFrom4([4]byte{203, 0, 113, byte(t.random.IntN(256))}),
		Agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 " +
			"Safari/537.36",
		Rule: "http2_crawl", State: "refuse", Action: "serve", Reason: "no_claim", Status: 200, BytesOut: 18234,
		Took: 4321 * time.Microsecond, Origin: "http://127.0.0.1:3000", OriginStatus: 200,
		OriginTook: 4100 * time.Microsecond,
		RequestID:  fmt.Sprintf("0f3a9c21-%x", t.count), Config: "4be2a9c01f77",
	}
	if t.random.IntN(100) >= 85 {
		t.crawl(r)
	}
	return r
}

func (t *traffic) crawl(r *audit.Record) {
	r.Agent = "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) " +
		"Chrome/131.0.6778.69 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	r.Claim, r.Verdict, r.VerdictSource = "googlebot", "genuine", "cache"
	r.ClientIP = netip.AddrFrom4([4]byte{66, 249, 66, byte(t.random.IntN(256))})
	r.PTR = "crawl-" + r.ClientIP.String() + ".googlebot.com"
	switch n := t.random.IntN(100); {
	case n < 45:
		r.Proto, r.ALPN, r.Reason = "HTTP/1.1", "http/1.1", "http1"
	case n < 75:
		r.Action, r.Reason, r.Status, r.BytesOut = "refuse", "refused", 421, 98
		r.Origin, r.OriginStatus, r.OriginTook = "", 0, 0
	case n < 80:
		r.Rule, r.State, r.Reason, r.Would = "/shop/", "observe", "observed", "refuse"
	case n < 95:
		r.Verdict, r.Reason, r.PTR = "impostor", "impostor", "static.example.net"
		r.ClientIP = netip.AddrFrom4([4]byte{198, 51, byte(t.random.IntN(100)), 7})
	default:
		r.Verdict, r.Reason, r.VerdictCause = "unknown", "unverified", "timeout"
	}
}
