package server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What is understood: the request as the handler has it.
func TestRequests(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s host %q %d.%d length %d header %q body %q trailer %q close %v %v", r.Method, r.RequestURI,
			r.Host, r.ProtoMajor, r.ProtoMinor, r.ContentLength, r.Header, body, r.Trailer, r.Close, err)
	})
	for said, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                                                                               `GET / host "a" 1.1 length 0 header map[] body "" trailer map[] close false <nil>`,
		"GET / HTTP/1.0\r\n\r\n":                                                                                          `GET / host "" 1.0 length 0 header map[] body "" trailer map[] close true <nil>`,
		"GET / HTTP/1.9\r\nHost: a\r\n\r\n":                                                                               `GET / host "a" 1.1 length 0 header map[] body "" trailer map[] close false <nil>`,
		"\r\n\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n":                                                                 `GET / host "a" 1.1 length 0 header map[] body "" trailer map[] close false <nil>`,
		"GET / HTTP/1.1\nHost: a\nX-y: 1\n\n":                                                                             `GET / host "a" 1.1 length 0 header map["X-Y":["1"]] body "" trailer map[] close false <nil>`,
		"GET /a%20b?c=d&&e HTTP/1.1\r\nhost:  a:8443\t\r\n\r\n":                                                           `GET /a%20b?c=d&&e host "a:8443" 1.1 length 0 header map[] body "" trailer map[] close false <nil>`,
		"GET //x HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n":                                                                 `GET //x host "[2001:db8::1]" 1.1 length 0 header map[] body "" trailer map[] close false <nil>`,
		"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n":                                                                      `GET http://b/x host "b" 1.1 length 0 header map[] body "" trailer map[] close false <nil>`,
		"GET https://b HTTP/1.1\r\nHost: a\r\n\r\n":                                                                       `GET https://b host "b" 1.1 length 0 header map[] body "" trailer map[] close false <nil>`,
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n":                                                                           `OPTIONS * host "a" 1.1 length 0 header map[] body "" trailer map[] close false <nil>`,
		"CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n":                                                                       `CONNECT b:443 host "b:443" 1.1 length 0 header map[] body "" trailer map[] close false <nil>`,
		"M-SEARCH / HTTP/1.1\r\nHost: a\r\nX: \xff\tz\r\nx: 2\r\n\r\n":                                                    "M-SEARCH / host \"a\" 1.1 length 0 header map[\"X\":[\"\\xff\\tz\" \"2\"]] body \"\" trailer map[] close false <nil>",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n":                                                       `GET / host "a" 1.1 length 0 header map["Connection":["x, Close"]] body "" trailer map[] close true <nil>`,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc":                                                      `POST / host "a" 1.1 length 3 header map["Content-Length":["3"]] body "abc" trailer map[] close false <nil>`,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n":                                                         `POST / host "a" 1.1 length 0 header map["Content-Length":["0"]] body "" trailer map[] close false <nil>`,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n" + "3\r\nabc\r\n02;x=y\r\nde\r\n0\r\n\r\n":      `POST / host "a" 1.1 length -1 header map[] body "abcde" trailer map[] close false <nil>`,
		"POST / HTTP/1.1\r\nHost: a\r\nTrailer: t, u\r\nTransfer-Encoding: chunked\r\n\r\n" + "0\r\nT: 1\r\nv: 2\r\n\r\n": `POST / host "a" 1.1 length -1 header map[] body "" trailer map["T":["1"] "U":[] "V":["2"]] close false <nil>`,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab":                                                       `POST / host "a" 1.1 length 3 header map["Content-Length":["3"]] body "ab" trailer map[] close false unexpected EOF`,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + "3\nabc\r\n0\r\n\r\n":                        `POST / host "a" 1.1 length -1 header map[] body "" trailer map[] close false malformed: a line of a chunked body ends in LF alone`,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + "3\r\nabcd\r\n0\r\n\r\n":                     `POST / host "a" 1.1 length -1 header map[] body "abc" trailer map[] close false malformed: a chunk is longer than it says`,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + "3 \r\nabc\r\n0\r\n\r\n":                     `POST / host "a" 1.1 length -1 header map[] body "" trailer map[] close false malformed: chunk size "3 "`,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + "0\r\nT : 1\r\n\r\n":                         `POST / host "a" 1.1 length -1 header map[] body "" trailer map[] close false malformed: trailer field "T : 1"`,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + "0\r\nT: 1\r\n u: 2\r\n\r\n":                 `POST / host "a" 1.1 length -1 header map[] body "" trailer map["T":["1"]] close false malformed: trailer field " u: 2"`,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + "0\r\nT: \x01\r\n\r\n":                       `POST / host "a" 1.1 length -1 header map[] body "" trailer map[] close false malformed: trailer field "T: \x01"`,
	} {
		all, bodies := answers(t, "GET", d.say(t, said))
		if len(all) != 1 || all[0].StatusCode != 200 || bodies[0] != want {
			t.Errorf("%q:\n got %q\nwant %q", said, bodies, want)
		}
	}
}

// What is not is answered and ends the connection; what comes behind it is no request.
func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	d := open(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the handler got %s %s", r.Method, r.RequestURI)
	})
	behind := "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"
	rest := " / HTTP/1.1\r\nHost: a\r\n\r\n"
	field := func(line string) string { return "POST / HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n" }
	for status, saids := range map[int][]string{
		400: {
			"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a:80:443\r\n\r\n", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: [a]\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/\r\n\r\n", "GET / HTTP/1.0\r\nHost: a,\r\n\r\n",
			"GET /\r\nHost: a\r\n\r\n", "GET / \r\nHost: a\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
			" GET" + rest, "G\x00ET" + rest, "G(T" + rest, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?x#y HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/#y HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET / http/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/11\r\nHost: a\r\n\r\n", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "GET / HTTP/x.1\r\nHost: a\r\n\r\n",
			"GET x HTTP/1.1\r\nHost: a\r\n\r\n", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET http:/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET http://a,b/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a|/%zz HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:b HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT u@a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
			"\r\n\r\n\r\n\r\n\r\nGET" + rest, "\rGET" + rest, "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
			field("X : 1"), field("X\t: 1"), field(": 1"), field("X"), field(" X: 1"), field("X: 1\r\n y"), field("X: 1\r\n\ty"), field("X: a\x00b"), field("X: a\x0bb"), field("X: a\rb"), field("X\xff: 1"), field("(X): 1"), field("X: \x7f"),
			field("Content-Length: x"), field("Content-Length:"), field("Content-Length: +1"), field("Content-Length: -1"), field("Content-Length: 1 1"), field("Content-Length: 0x1"),
			field("Content-Length: 1, 1"), field("Content-Length: 1\r\nContent-Length: 1"), field("Content-Length: 1\r\ncontent-length: 2"), field("Content-Length: 1234567890123456789"),
			field("Content-Length: 1\r\nTransfer-Encoding: chunked"), field("Transfer-Encoding: chunked\r\nContent-Length: 1"), field("Transfer-Encoding: identity\r\nContent-Length: 1"),
			field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), field("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), field("Transfer-Encoding:"),
			field("Transfer-Encoding: chunked;q=1"), field("Transfer-Encoding: \"chunked\""), field("Transfer-Encoding: \x0bchunked"), field("Transfer-Encoding: chunked,"), field("Transfer-Encoding: chunked, identity"), field("Transfer-Encoding: identity"), field("Transfer-Encoding: xchunked"), field("Transfer-Encoding: \xa0chunked"),
			"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", field("Transfer-Encoding: chunked\r\nTrailer: a b"),
		},
		414: {"GET /" + strings.Repeat("x", 8<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n"},
		417: {field("Expect: tea"), field("Expect: 100-continue\r\nExpect: 100-continue"), field("Expect: 100-continue, x")},
		431: {field("X: " + strings.Repeat("x", 8<<10)), field(strings.Repeat("X: y\r\n", 2000) + "Z: z")},
		501: {field("Transfer-Encoding: gzip, chunked"), field("Transfer-Encoding: chunked,Chunked")},
		505: {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/0.9\r\n\r\n"},
	} {
		for _, said := range saids {
			heard := d.say(t, said+behind)
			all, _ := answers(t, "GET", heard)
			if len(all) != 1 || all[0].StatusCode != status || !all[0].Close || all[0].ContentLength <= 0 {
				t.Errorf("%.80q: %q, want %d", said, heard, status)
			}
		}
	}
}

// Nobody is answered who has not asked.
func TestHalfRequests(t *testing.T) {
	t.Parallel()
	d := open(t, func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
	for _, said := range []string{"", "\r\n", "G", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"} {
		if heard := d.say(t, said); heard != "" {
			t.Errorf("%q: %q", said, heard)
		}
	}
}

// A percent sign that escapes nothing is the handler's business, in each form of a target.
func TestTargetsThatAreNotEscaped(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Host, r.RequestURI, r.URL.Path, r.URL.RawQuery)
	})
	for target, want := range map[string]string{
		"/%": "a /% /% ", "/%zz/%2F?%": "a /%zz/%2F?% /%zz/%2F %", "http://b/100%?x": "b http://b/100%?x /100% x", "//b/%": "a //b/% //b/% ", "http://b?%": "b http://b?%  %",
	} {
		_, bodies := answers(t, "GET", d.say(t, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n"))
		if len(bodies) != 1 || bodies[0] != want {
			t.Errorf("%s: %q, want %q", target, bodies, want)
		}
	}
}
