package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for c := range 256 {
		s := string([]byte{byte(c)})
		want := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c < 128 && strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c))
		if Token(s) != want || Token("a"+s) != want {
			t.Errorf("Token(%q): %v", s, !want)
		}
		if want := c >= ' ' && c != 0x7f || c == '\t'; Printable("a"+s) != want {
			t.Errorf("Printable(%q): %v", s, !want)
		}
	}
	if Token("") || !Printable("") {
		t.Error("the empty word")
	}
	for s, want := range map[string]int64{"0": 0, "00": 0, "5": 5, "999999999999999999": 999999999999999999, "": -1, "1000000000000000000": -1, "-1": -1, "+1": -1, "1 ": -1, "１": -1, "0x1": -1} {
		if n, ok := Decimal(s); ok != (want >= 0) || ok && n != want {
			t.Errorf("Decimal(%q): %d, %v", s, n, ok)
		}
	}
	for s, want := range map[string]bool{
		"": true, "a": true, "A.b-c_d.": true, "a:": true, "a:1": true, "a:65535": true, "192.0.2.1:80": true, "[2001:db8::1]": true, "[::1]:443": true,
		":": false, ":80": false, "a:0": false, "a:65536": false, "a:+1": false, "a:b": false, "a:80:443": false, "a,b": false, "a b": false, "a/": false, "a@b": false, "é": false,
		"[::1": false, "::1": false, "[::1]x": false, "[fe80::1%25x]": false, "[192.0.2.1]": false, "[]": false, "a\x00": false, "%41": false,
	} {
		if Host(s) != want {
			t.Errorf("Host(%q): %v", s, !want)
		}
	}
	for s, want := range map[string]bool{"chunked": true, "CHUNKED": true, "chun\u212aed": false, "chunke": false, "chunked ": false, "": false} {
		if Same(s, "chunked") != want {
			t.Errorf("Same(%q): %v", s, !want)
		}
	}
	for s, want := range map[string]bool{"close": true, "Close": true, "x, close": true, "close\t,x": true, "closed": false, "clos": false, "x close": false, "clo\u017fe": false, "": false} {
		if Lists([]string{"y", s}, "close") != want {
			t.Errorf("Lists(%q): %v", s, !want)
		}
	}
}

func TestFields(t *testing.T) {
	for line, want := range map[string][2]string{
		"Host: a": {"Host", "a"}, "x-forwarded-FOR:\t 1 \t": {"X-Forwarded-For", "1"}, "A:": {"A", ""}, "a_B: c:d": {"A_b", "c:d"}, "X: \xff": {"X", "\xff"},
		"": {}, ":": {}, "a": {}, "a : b": {}, " a: b": {}, "a\x00: b": {}, "a: \x01": {}, "é: b": {}, "a:\rb": {},
	} {
		name, value, ok := Field(line)
		if ok != (want[0] != "") || ok && (name != want[0] || value != want[1] || name != http.CanonicalHeaderKey(name)) {
			t.Errorf("%q: %q, %q, %v", line, name, value, ok)
		}
	}
}

// body reads all of a chunked body, and says what is left behind it.
func body(b []byte, size int) (got []byte, trailer string, rest []byte, err error) {
	r := bufio.NewReaderSize(bytes.NewReader(b), size)
	c := &Chunks{R: r, Trailer: func(name, value string) error {
		trailer += name + "=" + value + ";"
		return nil
	}}
	got, err = io.ReadAll(c)
	rest, _ = io.ReadAll(r)
	return got, trailer, rest, err
}

func TestChunks(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for said, want := range map[string]string{
		"0\r\n\r\n": "", "3\r\nabc\r\n0\r\n\r\n": "abc", "1\r\na\r\n00002 ; x=\"y\"\r\nbc\r\n0;z\r\n\r\n": "abc", "a\r\n0123456789\r\n0\r\nT: 1\r\nt: 2\r\n\r\n": "0123456789T=1;T=2;",
		"1;" + long + "\r\na\r\n0\r\nT: " + long + long + "\r\n\r\n": "aT=" + long + long + ";",
	} {
		for _, size := range []int{16, 64, 4096} {
			got, trailer, rest, err := body([]byte(said+"rest"), size)
			if err != nil || string(got)+trailer != want || string(rest) != "rest" {
				t.Errorf("%.40q in pieces of %d: %.40q, %q, %.40q, %v", said, size, got, trailer, rest, err)
			}
		}
	}
	for said, want := range map[string]error{
		"": io.ErrUnexpectedEOF, "3\r\nab": io.ErrUnexpectedEOF, "3\r\nabc\r\n": io.ErrUnexpectedEOF, "0\r\n": io.ErrUnexpectedEOF, "0\r\nT: 1\r\n": io.ErrUnexpectedEOF,
		"3\nabc\r\n0\r\n\r\n": ErrMalformed, "3\r\nabc\n0\r\n\r\n": ErrMalformed, "3\r\nabc\r\n0\n\r\n": ErrMalformed, "0\r\n\n": ErrMalformed, "3\r\nabcd\r\n": ErrMalformed, "3\r\nab\r\n0\r\n\r\n": ErrMalformed,
		"x\r\n": ErrMalformed, "\r\n": ErrMalformed, "-1\r\n": ErrMalformed, "0x1\r\na": ErrMalformed, "3 \r\nabc\r\n": ErrMalformed, " 3\r\nabc\r\n": ErrMalformed, "1000000000000000\r\n": ErrMalformed,
		"1;\x00\r\na\r\n": ErrMalformed, "1;a\rb\r\na\r\n": ErrMalformed, "0\r\nT : 1\r\n\r\n": ErrMalformed, "0\r\n T: 1\r\n\r\n": ErrMalformed, "0\r\n" + strings.Repeat("T: 1\r\n", 200) + "\r\n": ErrMalformed,
		"1;" + long + long + "\r\na\r\n": ErrMalformed, "0\r\nT: " + strings.Repeat(long, 20) + "\r\n\r\n": ErrMalformed,
	} {
		for _, size := range []int{16, 4096} {
			if _, _, _, err := body([]byte(said), size); !errors.Is(err, want) {
				t.Errorf("%.40q in pieces of %d: %v", said, size, err)
			}
		}
	}
}

// Blanks behind a size and another reader behind the last chunk, as for those who know their peers.
func TestLenientChunks(t *testing.T) {
	for said, want := range map[string]struct {
		body, rest string
		err        error
	}{
		"3 \t\r\nabc\r\n2;x \r\nde\r\n0  \r\nrest": {"abcde", "rest", nil},
		"3\r\nabc\r\n0\r\n":                        {"abc", "", io.ErrUnexpectedEOF}, // the other reader finds nothing
		"3\r\nabc \r\n0\r\n\r\n":                   {"abc", "0\r\n\r\n", ErrMalformed}, " 3\r\nabc\r\n": {"", "abc\r\n", ErrMalformed}, "3 \nabc\r\n": {"", "abc\r\n", ErrMalformed},
	} {
		for _, size := range []int{16, 4096} {
			r := bufio.NewReaderSize(strings.NewReader(said), size)
			c := &Chunks{R: r, Blanks: true, Behind: func() error {
				_, err := r.Peek(1)
				return err
			}}
			got, err := io.ReadAll(c)
			rest, _ := io.ReadAll(r)
			if string(got) != want.body || string(rest) != want.rest || !errors.Is(err, want.err) {
				t.Errorf("%q in pieces of %d: %q, %q, %v", said, size, got, rest, err)
			}
		}
	}
	r := bufio.NewReader(strings.NewReader("0 \r\nT"))
	r.Peek(1)
	if c := (&Chunks{R: r, Blanks: true}); c.Ready() {
		t.Error("trailers do not come at once")
	}
}

// A body that is read here is the same body to net/http.
func FuzzChunks(f *testing.F) {
	for _, seed := range []string{"0\r\n\r\n", "3\r\nabc\r\n1;x\r\nd\r\n0\r\nT: 1\r\n\r\n", "0003 ;\r\nabc\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _, _, err := body(b, 4096)
		if err != nil {
			return
		}
		if regexp.MustCompile(`[ \t];`).Match(b) {
			return // blanks before an extension, which net/http does not take
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b)))
		if err != nil && !strings.Contains(err.Error(), "too much") || err == nil && !bytes.Equal(got, theirs) {
			t.Errorf("%q: %q, net/http has %q, %v", b, got, theirs, err)
		}
	})
}

func TestReady(t *testing.T) {
	for said, want := range map[string]bool{"": false, "3": false, "3\r\n": false, "3\r\na": true, "0\r\n": false, "0\r\nT": false, "0\r\n\r\n": true} {
		r := bufio.NewReader(strings.NewReader(said))
		r.Peek(1)
		if got := (&Chunks{R: r}).Ready(); got != want {
			t.Errorf("%q: %v", said, got)
		}
	}
}
