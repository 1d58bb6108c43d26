package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// meted hands out a stream in pieces, and says how much it has handed out whenever more is wanted.
type meted struct {
	rest   []byte
	piece  int
	given  int
	wanted func(given int)
}

func (m *meted) Read(p []byte) (int, error) {
	m.wanted(m.given)
	if len(m.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.rest[:min(m.piece, len(m.rest))])
	m.rest, m.given = m.rest[n:], m.given+n
	return n, nil
}

// What has come goes on before more is waited for, and all of it at once where there is room.
func TestChunksGoOnAsTheyCome(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 21))
	for round := range 300 {
		var wire, want []byte
		var at []int // the place on the wire behind which so many bytes of the body are known
		for range 1 + random.IntN(40) {
			size := 1 + random.IntN(1+random.IntN(40))
			wire = fmt.Appendf(wire, "%x%s\r\n", size, []string{"", ";a=b"}[random.IntN(2)])
			for range size {
				wire, want = append(wire, byte('a'+len(want)%26)), append(want, byte('a'+len(want)%26))
				at = append(at, len(wire))
			}
			wire = append(wire, "\r\n"...)
		}
		wire = append(wire, "0\r\n\r\n"...)
		got := []byte{}
		source := &meted{rest: wire, piece: 1 + random.IntN(60)}
		source.wanted = func(given int) {
			known := 0
			for known < len(at) && at[known] <= given {
				known++
			}
			if len(got) < known {
				t.Fatalf("round %d: more is waited for with %d of %d bytes passed on", round, len(got), known)
			}
		}
		c := &Chunks{R: bufio.NewReaderSize(source, 16+random.IntN(100))}
		reads := 0
		for {
			p := make([]byte, 4<<10)
			n, err := c.Read(p)
			got = append(got, p[:n]...)
			if reads++; err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("round %d: %q, want %q", round, got, want)
		}
		if pieces := len(wire)/min(source.piece, 16) + 2; reads > pieces {
			t.Errorf("round %d: %d reads of %d pieces at most", round, reads, pieces)
		}
	}
}

func TestSmallChunksAreReadTogether(t *testing.T) {
	const many = 64 << 10
	c := &Chunks{R: bufio.NewReader(strings.NewReader(strings.Repeat("1\r\nx\r\n", many) + "0\r\n\r\n"))}
	total, reads := 0, 0
	for p := make([]byte, 16<<10); ; reads++ {
		n, err := c.Read(p)
		total += n
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if total != many || reads > many*6/(4<<10)+1 {
		t.Errorf("%d bytes in %d reads", total, reads)
	}
}

// A body may not be much smaller than what stands between its bytes.
func TestWhatStandsBetweenIsBounded(t *testing.T) {
	signature, letters := ";chunk-signature="+strings.Repeat("0", 64), strings.Repeat("x", 16<<10)
	for name, c := range map[string]struct {
		chunk string
		times int
		taken bool
	}{
		"bytes alone":                {"1\r\nx\r\n", 100_000, true},
		"zeros before the sizes":     {"000000000000001\r\nx\r\n", 100_000, true},
		"signatures of large chunks": {"400" + signature + "\r\n" + letters[:1024] + "\r\n", 10_000, true},
		"a few long ones":            {"1;" + strings.Repeat("x", 4000) + "\r\nx\r\n", 4, true},
		"5 long ones":                {"1;" + strings.Repeat("x", 4000) + "\r\nx\r\n", 5, false},
		"20 KB between 78 MB":        {"1;" + strings.Repeat("x", 3900) + "\r\nx\r\n", 20_000, false},
		"small ones":                 {"1;a=" + strings.Repeat("x", 40) + "\r\nx\r\n", 10_000, false},
		"a large one before them": {
			"4000\r\n" + letters + "\r\n" + strings.Repeat("1;"+letters[:4000]+"\r\nx\r\n", 6), 1, false,
		},
	} {
		text := strings.Repeat(c.chunk, c.times) + "0\r\n\r\n"
		r := strings.NewReader(text)
		_, err := io.Copy(io.Discard, &Chunks{R: bufio.NewReader(r)})
		if c.taken && err != nil || !c.taken && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if read := len(text) - r.Len(); !c.taken && read > 64<<10 {
			t.Errorf("%s: %d bytes were read", name, read)
		}
	}
}

// BenchmarkSmallChunks reads a body in chunks of one byte, the dearest a client can send.
func BenchmarkSmallChunks(b *testing.B) {
	wire := []byte(strings.Repeat("1\r\nx\r\n", 100_000) + "0\r\n\r\n")
	out := make([]byte, 16<<10)
	b.ReportAllocs()
	b.SetBytes(100_000)
	for b.Loop() {
		c := &Chunks{R: bufio.NewReaderSize(bytes.NewReader(wire), 4<<10)}
		for {
			if _, err := c.Read(out); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
