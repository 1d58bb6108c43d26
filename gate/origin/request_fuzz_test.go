package origin

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"gate421/gate/http1"
	"gate421/gate/http1/client"

	"pgregory.net/rapid"
)

// written is what the origin gets of a request and its body.
func written(r *http.Request) (message []byte, err error) {
	origin := &tape{}
	u := &upload{conn: newConn(origin, "", time.Minute)}
	var names []string
	origin.asked.Write(client.AppendRequest(nil, r, true, &names))
	buffer := make([]byte, copySize)
	switch {
	case r.ContentLength == 0:
	case client.Sized(r):
		err = u.copySized(buffer, r)
	default:
		err = u.copyChunked(buffer, r)
	}
	return origin.asked.Bytes(), err
}

// Whatever a client says, the origin hears one request whose end nobody can see elsewhere, with the body that the
// client's server saw; and none that is whole where the client's was not.
func FuzzRequest(f *testing.F) {
	for _, said := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nTrailer: X-A, X-B\r\n\r\n4;x\r\nbody\r\n0\r\nX-A: 1\r\nTransfer-Encoding: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo",
		"PUT / HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\nTransfer_Encoding: chunked\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\nbody",
		"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, X-Hop\r\nUpgrade: websocket\r\nX-Hop: 1\r\nX-Forwarded-For: 1\r\n\r\n",
		"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(said), false)
		f.Add([]byte(said), true)
	}
	framings := regexp.MustCompile(`(?im)^(content[-_]length|transfer[-_]encoding)[ \t]*:`)
	f.Fuzz(func(t *testing.T, said []byte, http2 bool) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(said)))
		if err != nil || r.Method == http.MethodConnect {
			return
		}
		r.RemoteAddr = "192.0.2.1:1234"
		if http2 { // where nobody has to say how long a body is
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
			r.TransferEncoding = nil
		}
		if !client.WellFormed(r) {
			return
		}
		var body bytes.Buffer
		r.Body = io.NopCloser(io.TeeReader(r.Body, &body))
		message, failure := written(r)
		rest := bytes.NewReader(message)
		reader := bufio.NewReader(rest)
		heard, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("%q: %v", message, err)
		}
		head, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
		if n := len(framings.FindAll(head, -1)); n > 1 || n == 0 && r.ContentLength != 0 {
			t.Errorf("%d framings in %q", n, head)
		}
		if heard.Method != r.Method || heard.RequestURI != http1.OriginForm(r.RequestURI) ||
			heard.Host != r.Host && r.URL.Host == "" {
			t.Errorf(
				"%s %s of %s became %s %s of %s",
				r.Method,
				http1.OriginForm(r.RequestURI),
				r.Host,
				heard.Method,
				heard.RequestURI,
				heard.Host,
			)
		}
		if got := heard.Header["X-Forwarded-For"]; !reflect.DeepEqual(got, []string{"192.0.2.1"}) {
			t.Errorf("X-Forwarded-For: %q", got)
		}
		got, err := io.ReadAll(heard.Body)
		if failure != nil {
			if err == nil && len(got) != int(r.ContentLength) {
				t.Errorf("%v, and the origin has %q", failure, message)
			}
			return
		}
		if err != nil || !bytes.Equal(got, body.Bytes()) || rest.Len()+reader.Buffered() > 0 {
			t.Errorf("%q became %q: %v, %d bytes behind", body.Bytes(), got, err, rest.Len()+reader.Buffered())
		}
		for name := range heard.Trailer {
			if !client.AllowedTrailer(name) {
				t.Errorf("trailer %q", name)
			}
		}
	})
}

// draught is a request that is made up: its body comes in pieces.
type draught struct {
	method  string
	pieces  []string
	sized   bool
	trailer http.Header
	fields  []string
}

func draughts() *rapid.Generator[*draught] {
	return rapid.Custom(func(t *rapid.T) *draught {
		d := &draught{
			method: rapid.SampledFrom([]string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND", "GET"}).Draw(t, "method"),
			pieces: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "bc", "\r\n0\r\n\r\n", strings.Repeat("long ", 5000)}), 1, 5).
				Draw(t, "pieces"),
			sized: rapid.Bool().Draw(t, "sized"),
			// Each once: an HTTP/2 server answers a second TE with 400 by itself.
			fields: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"X-A: 1", "X-A: 2", "Content-Type: a/b", "Te: trailers", "X_Forwarded_For: 1", "Cookie: a=b", "Expect: 100-continue"}), 0, 3, rapid.ID[string]).
				Draw(t, "fields"),
		}
		if !d.sized && rapid.Bool().Draw(t, "with trailers") {
			d.trailer = http.Header{"X-Sum": {"1", "2"}, "X-Other": {""}}
		}
		return d
	})
}

// Requests with bodies reach the origin as net/http's transport would send them, but that ours finds out how long they
// are.
func TestBodiesAreAsTheTransportSends(t *testing.T) {
	heard := make(chan string, 1)
	address := strings.TrimPrefix(handling(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		for _, field := range []string{"User-Agent", "X-Rival", "Connection", "Content-Length"} {
			delete(r.Header, field)
		}
		if r.Header["X-Gathered"] != nil {
			delete(r.Header, "Expect") // ours has met it
		}
		heard <- fmt.Sprint(r.Method, r.ContentLength < 0 || r.ContentLength == int64(len(body)), len(r.Header), r.Header, len(body), string(body[:min(len(body), 100)]), r.Trailer, err)
		w.Write(body)
	}), "http://")
	ours, theirs := rivals(t, address)
	for _, http2 := range []bool{false, true} {
		g := openHandler(t, func(w http.ResponseWriter, r *http.Request) error {
			o := theirs
			if r.Header.Get("X-Rival") == "ours" {
				o = ours
			}
			_, _, _, err := o.Serve(w, r)
			return err
		}, http2)
		rapid.Check(t, func(rt *rapid.T) {
			d := draughts().Draw(rt, "request")
			ask := func(rival string) string {
				var parts []io.Reader
				length := 0
				for _, piece := range d.pieces {
					parts = append(parts, strings.NewReader(piece))
					length += len(piece)
				}
				request := g.request(t, d.method, "/", io.MultiReader(parts...), append(d.fields, "X-Rival: "+rival)...)
				if d.sized {
					request.ContentLength = int64(length)
				} else if d.trailer == nil {
					request.Header.Set("X-Gathered", "1")
				}
				request.Trailer = d.trailer.Clone()
				answer, err := g.Client().Do(request)
				if err != nil {
					rt.Fatal(err)
				}
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				if err != nil || string(body) != strings.Join(d.pieces, "") {
					rt.Fatalf("%s: %s %.100q came back, %v", rival, answer.Status, body, err)
				}
				return <-heard
			}
			if mine, net := ask("ours"), ask("theirs"); mine != net {
				rt.Fatalf("HTTP/2 %v\nours   %s\ntheirs %s", http2, mine, net)
			}
		})
	}
}
