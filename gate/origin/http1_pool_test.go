package origin

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// parked makes n connections that are idle for a host, and says what the origin's side of them is.
func parked(p *pool, host string, n int) (conns []*conn, tapes []*tape) {
	for range n {
		origin := &tape{}
		c := newConn(origin, host, time.Minute)
		p.put(c)
		conns, tapes = append(conns, c), append(tapes, origin)
	}
	return conns, tapes
}

// stacks are the idle connections of every host, the one used last at the end. The caller holds mu.
func (p *pool) stacks() map[string][]*conn {
	all := map[string][]*conn{}
	for c := p.oldest; c != nil; c = c.pooled.newer {
		all[c.host] = append(all[c.host], c)
	}
	return all
}

// census counts idle connections, and the hosts that the pool knows.
func (p *pool) census() (conns, hosts int, timer bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count, len(p.tops), p.timer != nil
}

func TestPoolGivesTheLastOneFirst(t *testing.T) {
	var p pool
	defer p.close()
	a, _ := parked(&p, "a", 3)
	b, _ := parked(&p, "b", 1)
	for i, want := range []*conn{a[2], a[1]} {
		if got := p.take("a", false); got != want {
			t.Errorf("%d: another one", i)
		}
	}
	p.put(a[1])
	for i, want := range []*conn{a[1], a[0], nil, nil} {
		if got := p.take("a", false); got != want {
			t.Errorf("%d again: another one", i)
		}
	}
	if p.take("c", false) != nil || p.take("b", false) != b[0] || p.count != 0 {
		t.Errorf("hosts are mixed up; %d left", p.count)
	}
}

func TestPoolIsBounded(t *testing.T) {
	for _, host := range []string{"a", "%d"} { // a wildcard's hosts are the client's choice
		var p pool
		var all []*tape
		for i := range idleConns + 10 {
			name := host
			if host != "a" {
				name = fmt.Sprintf(host, i)
			}
			_, tapes := parked(&p, name, 1)
			all = append(all, tapes...)
		}
		closed := 0
		for _, origin := range all {
			if origin.closed.Load() {
				closed++
			}
		}
		if last := all[len(all)-1]; p.count != idleConns || closed != 10 || last.closed.Load() ||
			host == "a" && !all[9].closed.Load() {
			t.Errorf("%q: %d idle, %d closed", host, p.count, closed)
		}
		p.close()
		for i, origin := range all {
			if !origin.closed.Load() {
				t.Fatalf("%d is open", i)
			}
		}
		if _, late := parked(&p, "a", 1); !late[0].closed.Load() || p.count != 0 {
			t.Error("a closed pool keeps a connection")
		}
	}
}

func TestPoolSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pool
		defer p.close()
		_, old := parked(&p, "a", 2)
		_, other := parked(&p, "b", 1)
		time.Sleep(idleAtMost - time.Second)
		young, youngTapes := parked(&p, "a", 1)
		synctest.Wait()
		if old[0].closed.Load() {
			t.Error("closed too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		conns, hosts, _ := p.census()
		if !old[0].closed.Load() || !old[1].closed.Load() || !other[0].closed.Load() || youngTapes[0].closed.Load() ||
			conns != 1 ||
			hosts != 1 {
			t.Errorf("%d idle of %d hosts", conns, hosts)
		}
		time.Sleep(3 * idleAtMost / 2)
		synctest.Wait()
		conns, hosts, timer := p.census()
		if !youngTapes[0].closed.Load() || conns != 0 || hosts != 0 || timer || p.take("a", false) == young[0] {
			t.Errorf("the last one: %d idle of %d hosts, timer %v", conns, hosts, timer)
		}
	})
}

func TestBuffersThatGrewAreLetGo(t *testing.T) {
	url, _ := answering(t, "HTTP/1.1 200 OK\r\nX-A: "+strings.Repeat("a", 100<<10)+"\r\nContent-Length: 0\r\n\r\n")
	o, d := straight(t, url)
	r := httptest.NewRequest("GET", "/"+strings.Repeat("a", 30<<10), nil).WithContext(t.Context())
	if _, status, _, err := o.Serve(httptest.NewRecorder(), r); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	if c := d.idle.take("", false); c == nil || inside(c, "in").Cap()+inside(c, "out").Cap() > 16<<10 {
		t.Errorf("%v is idle with what it grew", c)
	} else {
		c.close()
	}
}

// An idle connection that has something to say is no good: it would be taken for the answer to the next request.
func TestConnectionWithMoreToSayIsNotUsedAgain(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	authority := newAuthority(t)
	for _, test := range []struct{ name, method, answer string }{
		{"behind a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + evil},
		{"behind a long body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("x", 40000) + evil},
		{"behind chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + evil},
		{"a body for HEAD", "HEAD", evil},
		{"a body for 204", "GET", "HTTP/1.1 204 No Content\r\n\r\n" + evil},
		{"a body for 304", "GET", "HTTP/1.1 304 Not Modified\r\n\r\n" + evil},
		{"later", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok|" + evil},
		{"an empty line", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n"},
		{"later, the end", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok|"},
	} {
		for _, secure := range []*tls.Config{nil, authority.issue(t, time.Now().Add(time.Hour), "shop.example")} {
			t.Run(fmt.Sprint(test.name, secure != nil), func(t *testing.T) {
				var connections atomic.Int32
				more, said := make(chan struct{}), make(chan struct{})
				address := listen(t, secure, func(c net.Conn, r *bufio.Reader) {
					nth := connections.Add(1)
					for head(r) != "" {
						if nth > 1 {
							io.WriteString(c, plainOK)
							continue
						}
						now, later, wait := strings.Cut(test.answer, "|")
						io.WriteString(c, now)
						if wait {
							<-more
							io.WriteString(c, later)
							if later == "" {
								c.Close()
							}
						}
						close(said)
					}
				})
				scheme := "http://"
				if secure != nil {
					scheme = "https://"
				}
				o, d := straight(t, scheme+address)
				if _, result := ask(t, o, test.method); result.err != nil {
					t.Fatal(result.err)
				}
				close(more)
				receive(t, said)
				d.idle.mu.Lock()
				for _, stack := range d.idle.stacks() {
					for _, c := range stack {
						arrived(t, c)
					}
				}
				d.idle.mu.Unlock()
				for _, method := range []string{"GET", "POST"} {
					if w, result := ask(t, o, method); result.err != nil || w.Body.String() != "ok" {
						t.Errorf("%s: %q, %v", method, w.Body, result.err)
					}
				}
				if n := connections.Load(); n != 2 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// held is a socket that sends nothing until it is told to.
type held struct {
	net.Conn
	hold bool
	kept []byte
}

func (h *held) Write(p []byte) (int, error) {
	if !h.hold {
		return h.Conn.Write(p)
	}
	h.kept = append(h.kept, p...)
	return len(p), nil
}

// Bytes that TLS has taken from the socket with the answer are not to be seen there any more.
func TestConnectionWithMoreInTLSIsNotUsedAgain(t *testing.T) {
	config := newAuthority(t).issue(t, time.Now().Add(time.Hour), "shop.example")
	o, _ := straight(t, "https://"+listen(t, nil, func(c net.Conn, _ *bufio.Reader) {
		socket := &held{Conn: c}
		s := tls.Server(socket, config)
		head(bufio.NewReader(s))
		socket.hold = true
		io.WriteString(s, plainOK)
		io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") // a record of its own
		c.Write(socket.kept)
		io.Copy(io.Discard, c)
	}))
	for range 2 {
		if w, result := ask(t, o, "GET"); result.err != nil || w.Body.String() != "ok" {
			t.Errorf("%q, %v", w.Body, result.err)
		}
	}
}

// arrived waits until a connection has something to read, or has ended.
func arrived(t *testing.T, c *conn) {
	t.Helper()
	c.Raw.SetDeadline(time.Time{})
	for end := time.Now().Add(patience); c.Alive(); {
		if time.Now().After(end) {
			t.Fatal("nothing comes")
		}
	}
}

func TestCloseWhileRequestsAreInFlight(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	o, d := straight(t, "http://"+listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		head(r)
		asked <- struct{}{}
		<-answer
		io.WriteString(c, plainOK)
		head(r)
		ended <- struct{}{}
	}))
	done := make(chan outcome, 1)
	go func() {
		_, result := ask(t, o, "GET")
		done <- result
	}()
	receive(t, asked)
	d.idle.close()
	close(answer)
	if result := receive(t, done); result.err != nil {
		t.Error(result.err)
	}
	receive(t, ended) // the connection does not outlive the pool
}

// A client that leaves at any moment, also the last one, never leaves a broken connection in the pool.
func TestClientsLeavingDoNotPoisonThePool(t *testing.T) {
	o, d := straight(
		t,
		handling(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-Id")) }),
	)
	var all sync.WaitGroup
	for worker := range 100 {
		all.Go(func() {
			for i := range 6 {
				ctx, leave := context.WithCancel(t.Context())
				w := httptest.NewRecorder()
				r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
				id := fmt.Sprint(worker, ".", i)
				r.Header.Set("X-Id", id)
				leaves := i == 2
				if leaves {
					go leave()
				}
				_, _, _, err := o.Serve(w, r)
				leave()
				if err == nil && w.Body.String() != id || err != nil && !leaves {
					t.Errorf("%s: %q, %v", id, w.Body, err)
				}
			}
		})
	}
	all.Wait()
	d.idle.mu.Lock()
	defer d.idle.mu.Unlock()
	for _, c := range d.idle.stacks()[""] {
		if guarded(c) {
			t.Error("idle under a client's guard")
		}
		c.SetDeadline(time.Time{})
		if !c.Alive() || c.Ready() {
			t.Error("idle and broken")
		}
	}
	if n := d.idle.count; n == 0 || n > 100 {
		t.Errorf("%d idle connections", n)
	}
}
