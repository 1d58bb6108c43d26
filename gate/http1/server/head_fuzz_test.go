package server

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// read is what a Server makes of bytes.
func read(b []byte) (*http.Request, *rejection) {
	k := &conn{server: &Server{HeaderBytes: 8 << 10}, base: context.Background()}
	k.r = bufio.NewReader(bytes.NewReader(b))
	h, f := k.readHead()
	if f != nil {
		return nil, f
	}
	return k.exchange(h).request, nil
}

// Whatever is taken for a request here, net/http takes for the same request: it is read in one way only.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x?y HTTP/1.0\nContent-Length: 5\n\nabcde", "GET http://b/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nX: 1\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: [::1]\r\n\r\n",
		"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"\r\nGET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nX-y_z: \xff\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, failed := read(b)
		if failed != nil {
			return
		}
		b = bytes.TrimLeft(b, "\r\n") // which net/http does not take
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatalf("net/http: %v", err)
		}
		delete(theirs.Header, "Transfer-Encoding")
		if ours.Header["Cache-Control"] == nil && ours.Header["Pragma"] != nil {
			delete(theirs.Header, "Cache-Control") // it adds one
		}
		for name, values := range theirs.Header {
			for i := range values {
				values[i] = strings.Trim(values[i], " \t")
			}
			if name == "Host" {
				t.Errorf("Host is in the header")
			}
		}
		for _, pair := range [][2]any{
			{ours.Method, theirs.Method}, {ours.RequestURI, theirs.RequestURI}, {ours.URL.String(), theirs.URL.String()}, {ours.Host, theirs.Host},
			{ours.ContentLength, theirs.ContentLength}, {len(ours.TransferEncoding), len(theirs.TransferEncoding)}, {ours.Header, theirs.Header},
			{ours.ProtoMinor == 0, theirs.ProtoMinor == 0}, {ours.Close, theirs.Close}, {len(ours.Trailer), len(theirs.Trailer)},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("%q: %v, net/http has %v", b, pair[0], pair[1])
			}
		}
	})
}
