//go:build unix

package audit

import (
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// What a served request's line costs all in all: cpu-ns/op is the processor time of the whole process, writer, system
// calls and garbage collection included, until the last line is in the file.
func BenchmarkDecision(b *testing.B) {
	crawler := full()
	crawler.Action, crawler.Reason, crawler.Would, crawler.VerdictCause, crawler.OriginError = "serve", "http1", "", "", ""
	b.Run("crawler", func(b *testing.B) { benchmarkDecision(b, crawler) })
	browser := *crawler
	browser.Agent, browser.Reason = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "no_claim"
	browser.Claim, browser.Verdict, browser.VerdictSource, browser.PTR, browser.Verify, browser.Rule, browser.State = "", "", "", "", 0, "", ""
	b.Run("browser", func(b *testing.B) { benchmarkDecision(b, &browser) })
}

func benchmarkDecision(b *testing.B, r *Record) {
	l, err := Open(Config{File: filepath.Join(b.TempDir(), "decisions.log")})
	if err != nil {
		b.Fatal(err)
	}
	r.Time = time.Now()
	b.ReportAllocs()
	before, n := processorTime(b), 0
	for b.Loop() {
		r.Time = r.Time.Add(10 * time.Microsecond)
		l.Decision(r)
		// No faster than the file takes them, or lost lines would look cheap; and no further ahead than 100,000
		// requests a second are in the writer's rest.
		if n++; n%256 == 0 {
			for l.Stats().QueueLines > 512 {
				time.Sleep(50 * time.Microsecond)
			}
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(n), "cpu-ns/op")
	if lost := l.Stats().LostLines; lost > 0 {
		b.Errorf("%d of %d lines were lost", lost, n)
	}
}

// The same for refusals, as many at once as a busy crawl brings: each waits until its line is in the file.
func BenchmarkRefusal(b *testing.B) {
	l, err := Open(Config{File: filepath.Join(b.TempDir(), "decisions.log"), Patience: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(next *testing.PB) {
		r := full()
		for next.Next() {
			if err := l.Refusal(r); err != nil {
				b.Error(err)
			}
		}
	})
}
