package origin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	//lint:file-ignore SA1019 frames are made with the library that the engine is of.
	"golang.org/x/net/http2"
)

// ways are how a server says that it has done nothing about a request.
func ways() map[string]func(s stream) {
	return map[string]func(s stream){
		"REFUSED_STREAM":                func(s stream) { s.reset(http2.ErrCodeRefusedStream) },
		"GOAWAY below the stream":       func(s stream) { s.goAway(s.id-1, http2.ErrCodeNo) },
		"GOAWAY with an error":          func(s stream) { s.goAway(0, http2.ErrCodeEnhanceYourCalm) },
		"GOAWAY twice, as for shutdown": func(s stream) { s.goAway(1<<31-1, http2.ErrCodeNo); s.goAway(0, http2.ErrCodeNo) },
	}
}

// echo answers with how much it got, and whether all of it is "x".
func echo(s stream, body string) {
	s.headers(false, ":status", "200")
	s.data(true, fmt.Sprint(len(body), " ", strings.Trim(body, "x")))
}

// once refuses the first request and echoes the others.
func once(t *testing.T, refuse func(s stream)) *frameOrigin {
	var o *frameOrigin
	o = serveFrames(t, nil, nil, func(s stream) {
		if o.requests.Load() == 1 {
			s.bodies.Delete(s.id)
			refuse(s)
		}
	}, echo)
	return o
}

// A request that the server did not process is sent again, whatever its method, and with its whole body.
func TestUnprocessedIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, refuse := range ways() {
		for _, test := range []struct {
			method string
			size   int  // of the body; -1: there is none
			sized  bool // its length is announced
			slow   bool // it comes after the refusal
		}{
			{"GET", -1, true, false}, {"POST", -1, true, false}, {"POST", 4, true, false}, {"PATCH", 20_000, true, false},
			{"POST", keepAtMost, true, false}, {"POST", 20_000, false, false}, {"POST", 300_000, true, true}, {"POST", 1 << 20, false, true},
		} {
			t.Run(fmt.Sprint(name, test), func(t *testing.T) {
				refused := make(chan struct{}, 8)
				o := once(t, func(s stream) { refuse(s); refused <- struct{}{} })
				both(t, Config{Servers: []string{o.url()}}, func(t *testing.T, g *gateway) {
					o.requests.Store(0)
					want := strings.Repeat("x", max(test.size, 0))
					var body io.Reader
					if test.size >= 0 {
						body = &slowly{strings.NewReader(want), refused, !test.slow}
					}
					r := g.request(t, test.method, "/", body)
					if test.size >= 0 && test.sized {
						r.ContentLength = int64(test.size)
					}
					answer := g.do(t, r)
					if got := content(t, answer); answer.StatusCode != 200 || got != fmt.Sprint(len(want), " ") {
						t.Errorf("%s, %s", answer.Status, got)
					}
					if n := o.requests.Load(); n != 2 {
						t.Errorf("%d requests", n)
					}
					if result := receive(t, g.outcomes); result.err != nil || result.status != 200 {
						t.Errorf("%+v", result)
					}
				})
			})
		}
	}
}

// slowly gives its first byte at once, and the others when go comes.
type slowly struct {
	r    io.Reader
	more chan struct{}
	all  bool
}

func (s *slowly) Read(p []byte) (int, error) {
	if !s.all {
		s.all = true
		return s.r.Read(p[:1])
	}
	if s.more != nil {
		select {
		case <-s.more:
		case <-time.After(time.Second / 5):
		}
		s.more = nil
	}
	return s.r.Read(p)
}

// What is not there any more is not sent again, nor what the server may have done.
func TestProcessedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 8*keepAtMost)
	for name, test := range map[string]struct {
		method, body string
		say          func(s stream)
		late         func(s stream, body string)
		again        bool
	}{
		"a large body was read":           {"POST", big, func(stream) {}, func(s stream, _ string) { s.reset(http2.ErrCodeRefusedStream) }, false},
		"reset, POST":                     {"POST", "body", func(stream) {}, func(s stream, _ string) { s.reset(http2.ErrCodeInternal) }, false},
		"reset, POST without a body":      {"POST", "", func(s stream) { s.reset(http2.ErrCodeCancel) }, nil, false},
		"GOAWAY at the stream, POST":      {"POST", "body", func(stream) {}, func(s stream, _ string) { s.goAway(s.id, http2.ErrCodeNo); s.hangUp() }, false},
		"closed without a word, POST":     {"POST", "body", func(stream) {}, func(s stream, _ string) { s.hangUp() }, false},
		"refused after early hints, POST": {"POST", "body", func(stream) {}, func(s stream, _ string) { s.headers(false, ":status", "103"); s.reset(http2.ErrCodeRefusedStream) }, false},
		"closed, GET on a used one":       {"GET", "", func(s stream) { s.hangUp() }, nil, true},
		"closed, PUT on a used one":       {"PUT", "", func(s stream) { s.hangUp() }, nil, true},
		"closed, POST on a used one":      {"POST", "", func(s stream) { s.hangUp() }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			var o *frameOrigin
			o = serveFrames(t, nil, nil, func(s stream) {
				if o.requests.Load() == 2 {
					test.say(s)
				}
			}, func(s stream, body string) {
				if o.requests.Load() == 2 && test.late != nil {
					test.late(s, body)
					return
				}
				echo(s, body)
			})
			both(t, Config{Servers: []string{o.url()}}, func(t *testing.T, g *gateway) {
				o.requests.Store(0)
				content(t, g.get(t, "/"))
				receive(t, g.outcomes)
				var body io.Reader
				if test.body != "" {
					body = strings.NewReader(test.body)
				}
				answer := g.do(t, g.request(t, test.method, "/", body))
				if ok := answer.StatusCode == 200; ok != test.again ||
					o.requests.Load() != map[bool]int32{false: 2, true: 3}[test.again] {
					t.Errorf("%s, %d requests", answer.Status, o.requests.Load())
				}
				if result := receive(t, g.outcomes); result.word() != map[bool]string{false: Reset, true: ""}[test.again] {
					t.Errorf("%+v", result)
				}
			})
		})
	}
}

// A server that refuses everything is asked a few times, over a few connections, and within one time.
func TestUnprocessedForEver(t *testing.T) {
	t.Parallel()
	for name, refuse := range ways() {
		for _, body := range []string{"", "body"} {
			t.Run(name+body, func(t *testing.T) {
				t.Parallel()
				o := serveFrames(t, nil, nil, refuse, nil)
				both(t, Config{Servers: []string{o.url()}}, func(t *testing.T, g *gateway) {
					o.requests.Store(0)
					o.connections.Store(0)
					answer := g.do(t, g.request(t, "POST", "/", strings.NewReader(body)))
					if n := o.requests.Load(); answer.StatusCode != 502 || n != attemptsAtMost ||
						o.connections.Load() > n {
						t.Errorf("%s, %d requests over %d connections", answer.Status, n, o.connections.Load())
					}
					if result := receive(t, g.outcomes); result.word() != Reset {
						t.Errorf("%+v", result)
					}
				})
			})
		}
	}
}

// The time is one for all attempts: none of them gets a time of its own.
func TestOneTimeForAllAttempts(t *testing.T) {
	t.Parallel()
	const wait = 1200 * time.Millisecond
	o := serveFrames(t, nil, nil, func(s stream) {
		time.Sleep(2 * wait / 3)
		s.reset(http2.ErrCodeRefusedStream)
	}, nil)
	both(t, Config{Servers: []string{o.url()}, Wait: wait}, func(t *testing.T, g *gateway) {
		for _, body := range []string{"", "body"} {
			o.requests.Store(0)
			answer := g.do(t, g.request(t, "POST", "/", strings.NewReader(body)))
			result := receive(t, g.outcomes)
			if n := o.requests.Load(); answer.StatusCode != 504 || result.word() != Timeout || n > 2 ||
				result.first < wait {
				t.Errorf("%q: %s, %+v, %d requests", body, answer.Status, result, n)
			}
		}
	})
}

// What one server refuses goes to another, with its body.
func TestUnprocessedGoesElsewhere(t *testing.T) {
	t.Parallel()
	for name, refuse := range ways() {
		for kind, second := range map[string]func(t *testing.T) string{
			"http": func(t *testing.T) string {
				return handling(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "4 "); io.Copy(w, r.Body) })
			},
			"h2c": func(t *testing.T) string { return serveFrames(t, nil, nil, func(stream) {}, echo).url() },
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				refusing := serveFrames(t, nil, nil, refuse, nil)
				both(t, Config{Servers: []string{refusing.url(), second(t)}}, func(t *testing.T, g *gateway) {
					for range 2 {
						answer := g.do(t, g.request(t, "POST", "/", strings.NewReader("body")))
						if got := content(t, answer); answer.StatusCode != 200 || got != "4 body" {
							t.Errorf("%s %q", answer.Status, got)
						}
						if result := receive(t, g.outcomes); result.err != nil {
							t.Errorf("%+v", result)
						}
					}
				})
			})
		}
	}
}

// A client that leaves between two attempts is not asked for.
func TestClientLeavesBetweenAttempts(t *testing.T) {
	t.Parallel()
	refused := make(chan struct{}, attemptsAtMost)
	o := serveFrames(t, nil, nil, func(s stream) { s.reset(http2.ErrCodeRefusedStream); refused <- struct{}{} }, nil)
	both(t, Config{Servers: []string{o.url()}}, func(t *testing.T, g *gateway) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		go func() {
			<-refused
			<-refused
			leave()
		}()
		if answer, err := g.Client().Do(g.request(t, "GET", "/", nil).WithContext(ctx)); err == nil {
			t.Error(answer.Status)
		}
		if result := receive(t, g.outcomes); result.word() != ClientGone {
			t.Errorf("%+v", result)
		}
		for len(refused) > 0 {
			<-refused
		}
	})
}
