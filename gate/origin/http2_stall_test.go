package origin

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// begin sends the beginning of an answer.
func begin(w http.ResponseWriter) {
	io.WriteString(w, "part")
	http.NewResponseController(w).Flush()
}

// An answer that does not go on is cut, whatever the server speaks and whatever the answer is.
func TestBodyStalls(t *testing.T) {
	t.Parallel()
	ended := make(chan string, 1)
	everywhere := kinds(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sized":
			w.Header().Set("Content-Length", "8")
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
		}
		io.Copy(io.Discard, r.Body)
		begin(w)
		<-r.Context().Done()
		ended <- r.RemoteAddr
	})
	for name, c := range everywhere {
		c.Wait = time.Second
		for _, target := range []string{"/", "/sized", "/events", "/upload"} {
			t.Run(name+" "+target, func(t *testing.T) {
				t.Parallel()
				bothAtOnce(t, c, func(t *testing.T, g *gateway) {
					var sent io.Reader
					if target == "/upload" {
						sent = strings.NewReader("body")
					}
					// The client may have heard of it already.
					if answer, err := g.Client().Do(g.request(t, "POST", target, sent)); err == nil {
						if body, err := io.ReadAll(answer.Body); err == nil {
							t.Errorf("%q was taken for the whole response", body)
						}
						answer.Body.Close()
					}
					result := receive(t, g.outcomes)
					if result.status != 200 || result.word() != Timeout || !result.cut() || !timeout(result.err) {
						t.Errorf("%+v, want status 200, %q and a response that is cut", result, Timeout)
					}
					receive(t, ended) // the origin does not work for nobody
				})
			})
		}
	}
}

// What comes drop by drop does come.
func TestBodyTrickles(t *testing.T) {
	t.Parallel()
	const wait = 900 * time.Millisecond
	c := Config{Wait: wait, Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		for range 6 {
			io.WriteString(w, "x")
			http.NewResponseController(w).Flush()
			time.Sleep(wait / 3)
		}
	})}}
	bothAtOnce(t, c, func(t *testing.T, g *gateway) {
		if got := content(t, g.get(t, "/")); got != "xxxxxx" {
			t.Errorf("%q", got)
		}
		if result := receive(t, g.outcomes); result.err != nil {
			t.Errorf("%+v", result)
		}
	})
}

// The time that a client takes over an answer is its own.
func TestClientIsSlowToTakeTheBody(t *testing.T) {
	t.Parallel()
	const wait, size = time.Second, 16 << 20 // more than fits between them
	c := Config{Wait: wait, Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, io.LimitReader(zeros{}, size))
	})}}
	bothAtOnce(t, c, func(t *testing.T, g *gateway) {
		answer := g.get(t, "/")
		body := bufio.NewReader(answer.Body)
		for range 2 {
			time.Sleep(3 * wait)
			if _, err := io.CopyN(io.Discard, body, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := io.Copy(io.Discard, body); err != nil || n != size-2<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
		if result := receive(t, g.outcomes); result.err != nil {
			t.Errorf("%+v", result)
		}
	})
}

// While the client has more to send, a server that has begun its answer may wait for it; not for longer.
func TestBodyWaitsForTheClient(t *testing.T) {
	t.Parallel()
	const wait = 700 * time.Millisecond
	h := func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		begin(w)
		io.Copy(w, r.Body)
		if r.URL.Path == "/stall" {
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}
	for name, url := range map[string]string{"http": handling(t, h), "h2c": serveH2C(t, h)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothAtOnce(t, Config{Wait: wait, Servers: []string{url}}, func(t *testing.T, g *gateway) {
				for _, test := range []struct {
					target string
					size   int64
					word   string
				}{{"/", -1, ""}, {"/stall", -1, Timeout}, {"/stall", 4, Timeout}} {
					reader, writer := io.Pipe()
					request := g.request(t, "POST", test.target, reader)
					request.ContentLength = test.size
					go func() {
						time.Sleep(3 * wait)
						io.WriteString(writer, "more")
						writer.Close()
					}()
					answer := g.do(t, request)
					body, err := io.ReadAll(answer.Body)
					if string(body) != "partmore" || (err == nil) != (test.word == "") {
						t.Errorf("%+v: %q, %v", test, body, err)
					}
					if result := receive(t, g.outcomes); result.word() != test.word {
						t.Errorf("%+v: %+v", test, result)
					}
				}
			})
		})
	}
}

// The engine keeps the last piece of a body back until it has seen the end: the server cannot go on before.
func TestBodyWaitsForTheEndOfTheClients(t *testing.T) {
	t.Parallel()
	const wait = time.Second
	h := func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		begin(w)
		io.Copy(w, r.Body)
	}
	for name, url := range map[string]string{"http": handling(t, h), "h2c": serveH2C(t, h)} {
		o, err := New(Config{Wait: wait, Servers: []string{url}})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		reader, writer := io.Pipe()
		r := httptest.NewRequest("POST", "/", reader).WithContext(t.Context())
		r.Host, r.ContentLength = "shop.example", 4
		go func() {
			io.WriteString(writer, "more")
			time.Sleep(3 * wait)
			writer.Close()
		}()
		w := httptest.NewRecorder()
		if _, _, _, err := o.Serve(w, r); err != nil || w.Body.String() != "partmore" {
			t.Errorf("%s: %q, %v", name, w.Body, err)
		}
	}
}

// A server that neither takes what the client sends nor goes on with its answer has stalled.
func TestUploadThatAnHTTP2OriginHoldsUp(t *testing.T) {
	t.Parallel()
	bothAtOnce(t, Config{Wait: time.Second, Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		begin(w)
		<-r.Context().Done()
	})}}, func(t *testing.T, g *gateway) {
		const size = 32 << 20
		request := g.request(t, "POST", "/", io.LimitReader(zeros{}, size))
		request.ContentLength = size
		if answer, err := g.Client().Do(request); err == nil {
			if body, err := io.ReadAll(answer.Body); err == nil {
				t.Errorf("%q was taken for the whole answer", body)
			}
			answer.Body.Close()
		}
		if result := receive(t, g.outcomes); result.word() != Timeout || !result.cut() {
			t.Errorf("%+v", result)
		}
	})
}

// What counts, to the moment.
func TestStall(t *testing.T) {
	const wait = time.Second
	for _, test := range []struct {
		name string
		run  func(s *stall)
		over bool
	}{
		{"in time", func(s *stall) { s.waitForServer(true); time.Sleep(wait - 1); s.waitForServer(false) }, false},
		{"too late", func(s *stall) { s.waitForServer(true); time.Sleep(wait + 1) }, true},
		{"too late again", func(s *stall) {
			s.waitForServer(true)
			s.waitForServer(false)
			s.waitForServer(true)
			time.Sleep(wait + 1)
		}, true},
		{"nobody reads", func(s *stall) { s.waitForServer(true); s.waitForServer(false); time.Sleep(9 * wait) }, false},
		{"every read begins anew", func(s *stall) {
			for range 9 {
				s.waitForServer(true)
				time.Sleep(wait - 1)
				s.waitForServer(false)
			}
		}, false},
		{"the client sends", func(s *stall) { s.waitForClient(true); s.waitForServer(true); time.Sleep(9 * wait) }, false},
		{"it has sent", func(s *stall) {
			s.waitForClient(true)
			s.waitForServer(true)
			time.Sleep(9 * wait)
			s.waitForClient(false)
			time.Sleep(wait - 1)
		}, false},
		{"and the server has nothing to say", func(s *stall) {
			s.waitForClient(true)
			s.waitForServer(true)
			s.waitForClient(false)
			time.Sleep(wait + 1)
		}, true},
		{"it sends now and then", func(s *stall) {
			s.waitForServer(true)
			for range 9 {
				s.waitForClient(false)
				time.Sleep(wait - 1)
				s.waitForClient(true)
				time.Sleep(wait)
			}
		}, false},
		{"the timer is late", func(s *stall) {
			s.waitForServer(true)
			time.Sleep(wait - 1)
			s.waitForServer(false)
			s.waitForServer(true)
			s.expire()
		}, false},
		{"the timer is very late", func(s *stall) { s.waitForServer(true); time.Sleep(wait - 1); s.waitForServer(false); s.expire() }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := false
				s := &stall{wait: wait, onStall: func() { ended = true }}
				test.run(s)
				synctest.Wait()
				if over := s.waitForServer(false); over != test.over || ended != test.over {
					t.Errorf("over %v, ended %v", over, ended)
				}
			})
		})
	}
}

// A byte that is late is asked about, at ever longer intervals, and only while it is the server's turn.
func TestStallSaysThatAByteIsLate(t *testing.T) {
	const wait = 60 * time.Second
	for _, test := range []struct {
		name string
		run  func(s *stall)
		want []time.Duration // after the beginning
	}{
		{"in time", func(s *stall) {
			s.waitForServer(true)
			time.Sleep(lateAfter - 1)
			s.waitForServer(false)
			time.Sleep(wait)
		}, nil},
		{"the head", func(s *stall) { s.begin(time.Now().Add(wait)); time.Sleep(5 * time.Second) },
			[]time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second}},
		{"the body, to the end", func(s *stall) { s.waitForServer(true); time.Sleep(9 * wait) },
			[]time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}},
		{"every read begins anew", func(s *stall) {
			for range 2 {
				s.waitForServer(true)
				time.Sleep(1500 * time.Millisecond)
				s.waitForServer(false)
			}
		}, []time.Duration{1 * time.Second, 2500 * time.Millisecond}},
		{"the client sends", func(s *stall) {
			s.waitForClient(true)
			s.begin(time.Now().Add(wait))
			time.Sleep(wait)
			s.waitForClient(false)
			time.Sleep(1500 * time.Millisecond)
		},
			[]time.Duration{wait + time.Second}},
		{"the timer is late", func(s *stall) {
			s.waitForServer(true)
			time.Sleep(lateAfter - 1)
			s.waitForServer(false)
			s.waitForServer(true)
			s.expire()
			s.waitForServer(false)
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				late := make(chan time.Duration, 64)
				s := &stall{wait: wait, onStall: func() {}, onLate: func() { late <- time.Since(began) }}
				test.run(s)
				synctest.Wait()
				s.waitForServer(false)
				close(late)
				var got []time.Duration
				for after := range late {
					got = append(got, after)
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("late after %v, want %v", got, test.want)
				}
			})
		})
	}
}
