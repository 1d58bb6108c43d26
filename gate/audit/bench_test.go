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

// What a served request's line costs all in all: cpu-ns/op is the processor time of the whole process, writer, system calls
// and garbage collection included, until the last line is in the file.
func BenchmarkDecision(b *testing.B) {
	l, err := Open(Config{File: filepath.Join(b.TempDir(), "decisions.log")})
	if err != nil {
		b.Fatal(err)
	}
	r := full()
	r.Action, r.Reason, r.Would, r.VerdictCause, r.OriginError = "serve", "http1", "", "", ""
	b.ReportAllocs()
	before, n := processorTime(b), 0
	for b.Loop() {
		r.Time = time.Now()
		l.Decision(r)
		if n++; n%4096 == 0 { // no faster than the file takes them, or lost lines would look cheap
			for l.Stats().QueueLines > maxQueueLines/2 {
				time.Sleep(100 * time.Microsecond)
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
