package origin

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"gate421/gate/http1/client"
)

// What stands behind a body comes into the header as trailers, if it may. What is there of the head stays, but for what
// was announced.
func TestTrailersOfChunkedBody(t *testing.T) {
	long := "X-Long: " + strings.Repeat("x", 20<<10) + "\r\n"
	for _, test := range []struct {
		behind string
		want   http.Header // without the prefix; nil: an error
		err    error
	}{
		{"\r\n", http.Header{}, nil},
		{"x-sum: 1\r\nX-Late: 2\r\nX-Sum:\t3 \r\n\r\n", http.Header{"X-Sum": {"1", "3"}, "X-Late": {"2"}}, nil},
		{"X-Sum \t: 1\r\n\r\n", http.Header{"X-Sum": {"1"}}, nil},
		{"Content-Length: 9\r\nTrailer: X-Y\r\nX-Sum: 1\r\n\r\n", http.Header{"X-Sum": {"1"}}, nil},
		{"Transfer-Encoding: chunked\r\nUpgrade: x\r\nKeep-Alive: 1\r\nX-Sum: 1\r\n\r\n", http.Header{"X-Sum": {"1"}}, nil},
		{"X-Hop: 1\r\nConnection: x-hop\r\nX-Sum: 1\r\n\r\n", http.Header{"X-Sum": {"1"}}, nil},
		{long + "\r\n", http.Header{"X-Long": {long[len("X-Long: ") : len(long)-2]}}, nil},
		{strings.Repeat(long, 13) + "\r\n", nil, client.ErrMalformed},
		{strings.Repeat("X-Sum: 1\r\n", 1025) + "\r\n", nil, client.ErrMalformed},
		{"Transfer-Encoding: gzip\r\n\r\n", nil, client.ErrMalformed},
		{"Content-Length: x\r\n\r\n", nil, client.ErrMalformed},
		{"Content-Length : 1\r\n\r\n", nil, client.ErrMalformed},
		{"X-Sum: 1\r\n folded\r\n\r\n", nil, client.ErrMalformed},
		{"X-Sum\r\n\r\n", nil, client.ErrMalformed},
		{"X-Sum: \x01\r\n\r\n", nil, client.ErrMalformed},
		{"X-Sum: 1\r\r\n\r\n", nil, client.ErrMalformed},
		{"X-Sum: 1\n\r\n", nil, client.ErrMalformed},
		{"X-Sum: 1\r\n\n", nil, client.ErrMalformed},
		{"", nil, io.ErrUnexpectedEOF},
		{"X-Su", nil, client.ErrMalformed},
		{"X-Sum: 1\r\n", nil, client.ErrMalformed},
	} {
		for _, piece := range []int{1, 7, 1 << 20} {
			said := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum,\tx-gone\r\nX-Sum: early\r\nX-Gone: early\r\nX-Late: early\r\n\r\n2 \t\r\nok\r\n0 \r\n" + test.behind
			d := &http1Proxy{address: "127.0.0.1:0", wait: time.Minute} // nobody can listen there
			d.idle.put(newConn(&tape{said: []byte(said), piece: piece}, "", d.wait))
			w := &wire{header: http.Header{}}
			_, _, _, err := alone(d).Serve(w, httptest.NewRequest("GET", "/", nil).WithContext(t.Context()))
			if w.status != 200 || w.body.String() != "ok" || w.head.Get("X-Sum") != "early" {
				t.Errorf("%.60q in pieces of %d: %d %q %q", test.behind, piece, w.status, &w.body, w.head)
			}
			if test.want == nil {
				if word := (outcome{err: err}).word(); word != Reset || !errors.Is(err, test.err) ||
					!errors.Is(err, http.ErrAbortHandler) {
					t.Errorf("%.60q in pieces of %d: %v, want %v", test.behind, piece, err, test.err)
				}
				continue
			}
			want := http.Header{
				"Content-Type":      nil,
				"Transfer-Encoding": {"chunked"},
				"Trailer":           {"X-Sum,\tx-gone"},
				"X-Late":            {"early"},
			}
			for name, values := range test.want {
				want[http.TrailerPrefix+name] = values
			}
			if err != nil ||
				!maps.EqualFunc(w.header, want, func(a, b []string) bool { return reflect.DeepEqual(a, b) }) {
				t.Errorf("%.60q in pieces of %d: %.200q, %v", test.behind, piece, w.header, err)
			}
		}
	}
}

// An answer that is next to nothing but extensions of its chunks is no answer.
func TestExtensionsOfAnswers(t *testing.T) {
	chunk := "1;" + strings.Repeat("x", 3900) + "\r\nx\r\n"
	said := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, 20_000) + "0\r\n\r\n"
	origin := &tape{said: []byte(said), piece: 16 << 10}
	d := &http1Proxy{address: "127.0.0.1:0", wait: time.Minute} // nobody can listen there
	d.idle.put(newConn(origin, "", d.wait))
	w := &wire{header: http.Header{}}
	_, _, _, err := alone(d).Serve(w, httptest.NewRequest("GET", "/", nil).WithContext(t.Context()))
	if !(outcome{err: err}).cut() || w.body.Len() > 5 {
		t.Errorf("%d bytes, %v", w.body.Len(), err)
	}
	if d.idle.count > 0 {
		t.Error("the connection is used again")
	}
}
