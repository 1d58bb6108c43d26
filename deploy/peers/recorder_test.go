//go:build peers

package peers

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is an origin that keeps every byte it gets. It answers each request that it reads, strictly.
type recorder struct {
	address string

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with whatever comes
	conns   []*recorded
}

// recorded is a connection to a recorder.
type recorded struct {
	bytes []byte
	whole int  // of them belong to whole requests
	taken int  // of them were looked at
	early bool // the request behind whole was answered before its end
	ended bool
	err   error // what the strict reader objected to
}

func startRecorder(t *testing.T) *recorder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	o := &recorder{address: listener.Addr().String(), changed: make(chan struct{})}
	go func() {
		for {
			socket, err := listener.Accept()
			if err != nil {
				return
			}
			c := &recorded{}
			o.change(func() { o.conns = append(o.conns, c) })
			go o.serve(socket, c)
		}
	}()
	return o
}

func (o *recorder) change(how func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	how()
	close(o.changed)
	o.changed = make(chan struct{})
}

// serve answers each whole request with its target, and one for hasty as soon as its head is there; what is garbled
// ends the connection.
func (o *recorder) serve(socket net.Conn, c *recorded) {
	defer socket.Close()
	defer o.change(func() { c.ended = true })
	buffer := make([]byte, 64<<10)
	for {
		n, err := socket.Read(buffer)
		if err != nil {
			return
		}
		answer, bad := "", error(nil)
		o.change(func() {
			c.bytes = append(c.bytes, buffer[:n]...)
			for c.whole < len(c.bytes) {
				r, length, err := readers[0].one(c.bytes[c.whole:])
				if errors.Is(err, errUnfinished) {
					if r, _, err := readers[0].head(c.bytes[c.whole:]); err == nil && r.target == hasty && !c.early {
						c.early = true
						answer += answerTo(r)
					}
					break
				}
				if err != nil {
					c.err, bad = err, err
					break
				}
				if c.whole += length; !c.early {
					answer += answerTo(r)
				}
				c.early = false
			}
		})
		if _, err := socket.Write([]byte(answer)); err != nil || bad != nil {
			return
		}
	}
}

func answerTo(r heardRequest) string {
	body := r.target
	if r.method == "HEAD" {
		body = ""
	}
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.target), body)
}

// take returns what came since the last time, a piece for each connection, when every connection is between two
// requests or at its end.
func (o *recorder) take(t *testing.T) (pieces [][]byte) {
	t.Helper()
	for limit := time.After(patience); ; {
		o.mu.Lock()
		busy := slices.ContainsFunc(o.conns, func(c *recorded) bool { return !c.ended && c.whole < len(c.bytes) })
		changed := o.changed
		if !busy {
			defer o.mu.Unlock()
			for _, c := range o.conns {
				if c.taken < len(c.bytes) {
					pieces = append(pieces, slices.Clone(c.bytes[c.taken:]))
				}
				if c.taken = len(c.bytes); c.err != nil {
					t.Errorf("the origin got what is no request: %v", c.err)
					c.err = nil
				}
			}
			o.conns = slices.DeleteFunc(o.conns, func(c *recorded) bool { return c.ended })
			return pieces
		}
		o.mu.Unlock()
		select {
		case <-changed:
		case <-limit:
			t.Fatal("the origin waits for the rest of a request")
		}
	}
}

// compare has all readers read what came, and returns the strict one's requests, what it has only the beginning of, and
// where another one reads something else.
func compare(pieces [][]byte) (requests []heardRequest, broken, differences []string) {
	for _, piece := range pieces {
		first, rest, err := readers[0].all(piece)
		if err != nil && !errors.Is(err, errUnfinished) {
			differences = append(differences, fmt.Sprintf("%s: %v in %q", readers[0].name, err, piece))
		}
		if len(rest) > 0 {
			broken = append(broken, string(rest))
		}
		want := spelled(first, string(rest))
		for _, p := range readers[1:] {
			others, rest, _ := p.all(piece)
			if got := spelled(others, string(rest)); got != want {
				differences = append(differences, fmt.Sprintf("%s: %s\n%s: %s", readers[0].name, want, p.name, got))
			}
		}
		requests = append(requests, first...)
	}
	return requests, broken, differences
}

func spelled(requests []heardRequest, rest string) string {
	s := fmt.Sprintf("%d requests", len(requests))
	for _, r := range requests {
		s += fmt.Sprintf(" (%s %s %q %q)", r.method, r.target, r.fields, r.body)
	}
	return s + fmt.Sprintf(" and %.100q", rest)
}

// view is a request as a table shows it. What the gateway says of the client is checked, and left out; all else is
// there, and is not shortened so that two requests look alike.
func (r heardRequest) view(t *testing.T, what string) string {
	t.Helper()
	host := strings.Join(readers[0].values(r, "Host"), ", ")
	ours := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": host, "X-Forwarded-Proto": "https", "X-Real-IP": "127.0.0.1"}
	for name, want := range ours {
		if got := (reader{underscore: true}).values(r, name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: the origin got %s %q, want %q", what, name, got, want)
		}
	}
	s := legible(r.method) + " " + legible(r.target) + " " + host
	for _, f := range r.fields {
		if f[0] != "Host" && ours[f[0]] == "" {
			s += fmt.Sprintf("; %s: %s", f[0], legible(f[1]))
		}
	}
	if r.body != "" {
		s += fmt.Sprintf(" %q", legible(r.body))
	}
	return s
}

// legible shows bytes beyond ASCII by their numbers, and 32 and more of the same by their count.
func legible(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		n := 1
		for i+n < len(s) && s[i+n] == s[i] {
			n++
		}
		one := s[i : i+1]
		if s[i] >= 0x80 {
			one = fmt.Sprintf("<%02x>", s[i])
		}
		if i += n; n < 32 {
			out.WriteString(strings.Repeat(one, n))
		} else {
			fmt.Fprintf(&out, "%s{%d}", one, n)
		}
	}
	return out.String()
}
