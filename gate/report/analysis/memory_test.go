package analysis

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"gate421/gate/report/logs"
	"gate421/gate/report/logs/logstest"
)

// Ten times the lines are read in about the same memory.
func TestMemoryIsConstant(t *testing.T) {
	block := logstest.Lines(t, 10_000)
	peak := func(times int) uint64 {
		runtime.GC()
		in := &repeated{text: block, times: times}
		if _, err := Examine(t.Context(), &logs.Reader{Sources: []*logs.Source{logs.Stream("-", in)}}); err != nil {
			t.Fatal(err)
		}
		return in.peak
	}
	blocks := 10
	if raceDetector {
		blocks = 3
	}
	few, many := peak(blocks), peak(10*blocks)
	t.Logf("%d lines: %d MiB, ten times as many: %d MiB", blocks*10_000, few>>20, many>>20)
	if want := few*3/2 + 4<<20; many > want {
		t.Errorf("got %d MiB for ten times as many lines as %d, want no more than %d MiB", many>>20, blocks*10_000,
			want>>20)
	}
}

// repeated is a text many times over. It measures the memory in use every third time.
type repeated struct {
	text  []byte
	times int
	at    int
	peak  uint64
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.at == len(r.text) {
		r.at = 0
		r.times--
		if r.times%3 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			r.peak = max(r.peak, m.HeapAlloc)
		}
	}
	if r.times == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text[r.at:])
	r.at += n
	return n, nil
}

// A million refused URLs fit into 200 MB.
func TestBytesOfAURL(t *testing.T) {
	const count, limit = 200_000, 200
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	u := newURLs(0)
	host, text := []byte("www.example.com"), 0
	for i := range count {
		path := fmt.Appendf(nil, "/shop/item-%07d?colour=red", i)
		text += len(host) + len(path)
		u.refused(urlKey{0, host, path}, int64(i), uint64(i), 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	got := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / count
	t.Logf("%d bytes a URL, %d of them its text", got, text/count)
	if got > limit {
		t.Errorf("got %d bytes a URL, want no more than %d", got, limit)
	}
	runtime.KeepAlive(u)
}
