//go:build peers

package peers

import (
	"strings"
	"testing"
)

// What the readers make of a gateway that is not strict: none of this may pass for one request that everybody reads in
// the same way.
func TestReadersSeeWhatIsAmbiguous(t *testing.T) {
	head := func(lines string) string { return "POST /p HTTP/1.1\r\nHost: shop.test\r\n" + lines + "\r\n" }
	chunks := func(body string) string { return head("Transfer-Encoding: chunked\r\n") + body }
	for name, stream := range map[string]string{
		"length and encoding":           head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
		"two lengths":                   head("Content-Length: 5\r\nContent-Length: 0\r\n") + "hello",
		"two equal lengths":             head("Content-Length: 5\r\nContent-Length: 5\r\n") + "hello",
		"a length with a zero":          head("Content-Length: 05\r\n") + "hello",
		"a length with a sign":          head("Content-Length: +5\r\n") + "hello",
		"a list of lengths":             head("Content-Length: 5, 5\r\n") + "hello",
		"an underscore, and a length":   head("Content_Length: 0\r\nContent-Length: 5\r\n") + "hello",
		"an underscore, no length":      head("Content_Length: 5\r\n"),
		"an encoding with underscores":  head("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n") + "hello",
		"another encoding":              head("Transfer-Encoding: xchunked\r\n") + fiveChunked,
		"an encoding in upper case":     head("Transfer-Encoding: CHUNKED\r\n") + fiveChunked,
		"two encodings":                 head("Transfer-Encoding: gzip, chunked\r\n") + fiveChunked,
		"a folded field":                head("X: y\r\n z\r\n"),
		"a folded encoding":             head("Transfer-Encoding:\r\n chunked\r\n") + fiveChunked,
		"a space before the colon":      head("X : y\r\n"),
		"a bare CR":                     head("X: y\rEvil: z\r\n"),
		"CR before CR LF":               head("X: y\r\r\n"),
		"NUL":                           head("X: y\x00\r\n"),
		"a vertical tab":                head("X: \vy\r\n"),
		"DEL":                           head("X: y\x7f\r\n"),
		"a name beyond ASCII":           head("X\xe4: y\r\n"),
		"a line that ends in LF":        head("X: y\n"),
		"no Host":                       "GET /p HTTP/1.1\r\n\r\n",
		"two Hosts":                     head("Host: shop.test\r\n"),
		"a Host of two":                 "GET /p HTTP/1.1\r\nHost: shop.test,evil.test\r\n\r\n",
		"a Host with userinfo":          "GET /p HTTP/1.1\r\nHost: evil@shop.test\r\n\r\n",
		"two blanks":                    "GET  /p HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"a tab in the line":             "GET\t/p HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"a blank in the target":         "GET /p q HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"absolute form":                 "GET http://evil.test/p HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"* of GET":                      "GET * HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"HTTP/1.0":                      "GET /p HTTP/1.0\r\nHost: shop.test\r\n\r\n",
		"an empty line before":          "\r\nGET /p HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"a chunk extension":             chunks("5;a\r\nhello\r\n0\r\n\r\n"),
		"a chunk size with a blank":     chunks("5 \r\nhello\r\n0\r\n\r\n"),
		"a chunk size that ends in LF":  chunks("5\nhello\r\n0\r\n\r\n"),
		"a chunk that ends in LF":       chunks("5\r\nhello\n0\r\n\r\n"),
		"a chunk longer than it says":   chunks("5\r\nhello!\r\n0\r\n\r\n"),
		"a trailer Content-Length":      chunks("0\r\nContent-Length: 5\r\n\r\n"),
		"a trailer Transfer_Encoding":   chunks("0\r\nTransfer_Encoding: x\r\n\r\n"),
		"a trailer X-Forwarded-For":     chunks("0\r\nX-Forwarded-For: 6\r\n\r\n"),
		"a trailer that is folded":      chunks("0\r\nX: y\r\n z\r\n\r\n"),
		"a trailer without a colon":     chunks("0\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
		"what is behind a body":         head("Content-Length: 5\r\n") + "hello!",
		"the beginning of a body alone": head("Content-Length: 5\r\n") + "hell",
	} {
		requests, broken, differences := compare([][]byte{[]byte(stream)})
		if len(differences) == 0 && len(broken) == 0 {
			t.Errorf("%s: %d requests, and everybody agrees", name, len(requests))
		}
	}
	plain := head("Content-Length: 5\r\n") + "hello" + head("X: \xff\ty\r\nTransfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n" +
		"OPTIONS * HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
	if requests, broken, differences := compare([][]byte{[]byte(plain)}); len(requests) != 3 || len(broken)+len(differences) > 0 {
		t.Errorf("of three requests %d are seen, %q, %q", len(requests), broken, differences)
	}
	// A view shows what is added, whatever it looks like.
	ours := "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: shop.test\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 127.0.0.1\r\n"
	requests, _, _ := compare([][]byte{[]byte(head(ours) + head("X-Forwarded-Port: 1\r\nX: "+strings.Repeat("y", 500)+"z\r\n"+ours) + head(ours+"X: \xff\r\n"))})
	for i, want := range []string{"POST /p shop.test", "POST /p shop.test; X-Forwarded-Port: 1; X: y{500}z", "POST /p shop.test; X: <ff>"} {
		if i >= len(requests) || requests[i].view(t, want) != want {
			t.Errorf("%q is not seen", want)
		}
	}
}
