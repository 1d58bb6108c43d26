package origin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
	"time"

	//lint:file-ignore SA1019 frames are made with the library that the engine is of.
	"golang.org/x/net/http2"
)

// Answers without a body, whatever their length says and however the stream ends, to clients of both protocols.
func TestNoBodyOverHTTP2(t *testing.T) {
	t.Parallel()
	ends := map[string]func(s stream, fields ...string){
		"END_STREAM in the header":   func(s stream, fields ...string) { s.headers(true, fields...) },
		"END_STREAM in empty DATA":   func(s stream, fields ...string) { s.headers(false, fields...); s.data(true, "") },
		"END_STREAM in the trailers": func(s stream, fields ...string) { s.headers(false, fields...); s.headers(true, "x-sum", "1") },
		"a body that must not be": func(s stream, fields ...string) {
			s.headers(false, fields...)
			if s.method != http.MethodHead {
				s.data(false, "what?")
			}
			s.data(true, "")
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			o := serveFrames(t, nil, nil, func(s stream) {
				status, length, _ := strings.Cut(strings.TrimPrefix(s.path, "/"), "/")
				fields := []string{":status", status, "etag", `"x"`}
				if length != "" {
					fields = append(fields, "content-length", length)
				}
				end(s, fields...)
			}, nil)
			both(t, Config{Servers: []string{o.url()}}, func(t *testing.T, g *gateway) {
				for _, test := range []struct {
					method, target string
					length         int64
				}{
					{"GET", "/304/5", 0}, {"GET", "/304/0", 0}, {"GET", "/304", 0}, {"GET", "/204/5", 0}, {"GET", "/204/0", 0}, {"GET", "/204", 0},
					{"POST", "/204/5", 0}, {"HEAD", "/200/5", 5}, {"HEAD", "/200", -1}, {"HEAD", "/304/5", -1}, {"HEAD", "/404/7", 7},
				} {
					status := 0
					fmt.Sscanf(test.target, "/%d", &status)
					answer := g.do(t, g.request(t, test.method, test.target, nil))
					if body := content(t, answer); body != "" || answer.StatusCode != status ||
						answer.Header.Get("Etag") != `"x"` {
						t.Errorf("%v: %s %q %v", test, answer.Status, body, answer.Header)
					}
					if test.length > 0 && answer.ContentLength != test.length {
						t.Errorf("%v: length %d", test, answer.ContentLength)
					}
					if sent := answer.Header.Get("Content-Length"); sent != "" && test.method != "HEAD" {
						t.Errorf("%v: Content-Length: %s", test, sent)
					}
					if result := receive(t, g.outcomes); result.err != nil || result.status != status {
						t.Errorf("%v: %+v", test, result)
					}
				}
			})
		})
	}
}

// What of an informational answer is about the message or the connection does not go on.
func TestInformationalAnswersOverHTTP2(t *testing.T) {
	t.Parallel()
	o := serveFrames(t, nil, nil, func(s stream) {
		for range 20 {
			s.headers(
				false,
				":status",
				"103",
				"link",
				"</a.css>",
				"content-length",
				"5",
				"transfer-encoding",
				"chunked",
				"connection",
				"close",
				"keep-alive",
				"5",
			)
		}
		s.headers(false, ":status", "200")
		s.data(true, "ok")
	}, nil)
	both(t, Config{Servers: []string{o.url()}}, func(t *testing.T, g *gateway) {
		hints := 0
		ctx := httptrace.WithClientTrace(
			t.Context(),
			&httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				hints++
				if want := (textproto.MIMEHeader{"Link": {"</a.css>"}}); code != 103 ||
					!reflect.DeepEqual(header, want) {
					t.Errorf("%d %v, want %v", code, header, want)
				}
				return nil
			}},
		)
		// net/http's client takes five of them over HTTP/1.1.
		answer, err := g.Client().Do(g.request(t, "GET", "/", nil).WithContext(ctx))
		if err == nil {
			defer answer.Body.Close()
			if got := content(t, answer); got != "ok" || hints != 20 {
				t.Errorf("%q, %d hints", got, hints)
			}
		} else if hints < 5 {
			t.Error(err)
		}
		if result := receive(t, g.outcomes); result.status != 200 {
			t.Errorf("%+v", result)
		}
	})
}

// A status that is none is the end of the request, and of nothing else.
func TestStrangeStatusOverHTTP2(t *testing.T) {
	t.Parallel()
	o := serveFrames(t, nil, nil, func(s stream) {
		status := strings.TrimPrefix(s.path, "/")
		switch status {
		case "missing":
			s.headers(true, "x-a", "b")
		case "twice":
			s.headers(true, ":status", "200", ":status", "200")
		case "body":
			s.data(true, "no header")
		case "pushed":
			s.headers(false, ":status", "100")
			s.headers(true, ":status", "200", ":path", "/")
		default:
			s.headers(true, ":status", status)
		}
	}, nil)
	both(t, Config{Servers: []string{o.url()}}, func(t *testing.T, g *gateway) {
		for _, status := range []string{"1000", "0", "00", "99", "099", "-1", "+200", "0200", "2 0", "abc", "20", "2000", "100", "101", "103", "199",
			"99999999999999999999", "missing", "twice", "body", "pushed"} {
			answer := g.get(t, "/"+strings.ReplaceAll(status, " ", "%20"))
			if answer.StatusCode != 502 {
				t.Errorf("%q: %s", status, answer.Status)
			}
			if result := receive(t, g.outcomes); result.word() == "" || result.word() == Timeout || result.cut() {
				t.Errorf("%q: %+v", status, result)
			}
		}
		for _, status := range []int{200, 299, 404, 599, 600, 999} {
			if answer := g.get(t, fmt.Sprint("/", status)); answer.StatusCode != status {
				t.Errorf("%d: %s", status, answer.Status)
			}
			receive(t, g.outcomes)
		}
	})
}

// A client that resets its stream is noticed at once, also while the origin takes no more of its upload. (One that
// closes an HTTP/1.1 connection is not: its end is behind what nobody has read.)
func TestClientLeavesInItsUploadOverHTTP2(t *testing.T) {
	t.Parallel()
	for _, begins := range []bool{false, true} {
		left := make(chan struct{}, 1)
		g := open(t, Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
			if begins {
				begin(w)
			}
			<-r.Context().Done()
			left <- struct{}{}
		})}}, true)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		sent := &counter{}
		r := g.request(t, "POST", "/", io.TeeReader(io.LimitReader(zeros{}, 1<<30), sent)).WithContext(ctx)
		r.ContentLength = 1 << 30
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if answer, err := g.Client().Do(r); err == nil {
				<-ctx.Done()
				answer.Body.Close()
			}
		}()
		sent.rest(t)
		leave()
		if result := receive(t, g.outcomes); result.word() != ClientGone || result.cut() != begins {
			t.Errorf("%+v", result)
		}
		receive(t, left)
		receive(t, ended)
	}
}

// An upload that the origin does not take has a bound before the answer, too.
func TestUploadThatAnHTTP2OriginDoesNotTake(t *testing.T) {
	t.Parallel()
	const wait = 400 * time.Millisecond
	for name, settings := range map[string][]http2.Setting{"no window at all": {{ID: http2.SettingInitialWindowSize, Val: 0}}, "the first window": nil} {
		t.Run(name, func(t *testing.T) {
			o := serveFrames(t, nil, settings, func(s stream) { s.bodies.Delete(s.id) }, nil)
			both(t, Config{Servers: []string{o.url()}, Wait: wait}, func(t *testing.T, g *gateway) {
				r := g.request(t, "POST", "/", io.LimitReader(zeros{}, 32<<20))
				r.ContentLength = 32 << 20
				if answer, err := g.Client().Do(r); err == nil { // the client may not look while it sends
					if answer.StatusCode != 504 {
						t.Error(answer.Status)
					}
					answer.Body.Close()
				}
				if result := receive(t, g.outcomes); result.word() != Timeout || result.first > 3*wait {
					t.Errorf("%+v", result)
				}
			})
		})
	}
}

// While the client sends in its own time nothing is bounded, and what was waited for counts for nobody.
func TestSlowUploadToHTTP2(t *testing.T) {
	t.Parallel()
	const wait = time.Second
	o := serveFrames(t, nil, nil, func(stream) {}, echo)
	bothAtOnce(t, Config{Servers: []string{o.url()}, Wait: wait}, func(t *testing.T, g *gateway) {
		reader, writer := io.Pipe()
		go func() {
			for range 2 {
				io.WriteString(writer, "x")
				time.Sleep(wait + wait/2)
			}
			writer.Close()
		}()
		if got := content(t, g.do(t, g.request(t, "POST", "/", reader))); got != "2 " {
			t.Errorf("%q", got)
		}
		if result := receive(t, g.outcomes); result.err != nil {
			t.Errorf("%+v", result)
		}
	})
}

// DATA that carries nothing is no progress.
func TestEmptyFramesAreSilence(t *testing.T) {
	t.Parallel()
	const wait = time.Second
	for _, padded := range []bool{false, true} {
		o := serveFrames(t, nil, nil, func(s stream) {
			s.headers(false, ":status", "200")
			s.data(false, "part")
			go func() {
				for ; t.Context().Err() == nil; time.Sleep(wait / 10) {
					s.write(func() {
						if padded {
							s.WriteDataPadded(s.id, false, nil, make([]byte, 100))
						} else {
							s.WriteData(s.id, false, nil)
						}
					})
				}
			}()
		}, nil)
		bothAtOnce(t, Config{Servers: []string{o.url()}, Wait: wait}, func(t *testing.T, g *gateway) {
			answer := g.get(t, "/")
			if body, err := io.ReadAll(answer.Body); err == nil {
				t.Errorf("%q was taken for the whole answer", body)
			}
			if result := receive(t, g.outcomes); result.word() != Timeout {
				t.Errorf("%+v, want it cut off", result)
			}
		})
	}
}
