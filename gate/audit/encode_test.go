package audit

import (
	"bytes"
	"strings"
	"testing"
)

// What comes from others in an event is as clean as a request's.
func TestEventsAreClean(t *testing.T) {
	var out bytes.Buffer
	l := open(t, Config{File: "-", Stdout: &out})
	l.Event("certificate", Fields{"error": "a\x1b\x7f\u009b\u202e\u2028b\xff", "hosts": []string{"x\u009b\x7f\u2066y"}})
	l.Close()
	for _, c := range strings.TrimSuffix(out.String(), "\n") {
		if c < 0x20 || c == 0x7f || deceives(c) {
			t.Errorf("%q in %q", c, out.String())
		}
	}
}

// The look at eight bytes at once says of every byte in every place, and of every pair of neighbours, what a look at
// one does.
func TestPrintable(t *testing.T) {
	fine := func(c byte) bool { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' }
	for a := range 256 {
		for b := range 256 {
			for at := range 15 {
				text := []byte("0123456789abcdef")
				text[at], text[at+1] = byte(a), byte(b)
				// A false alarm only costs time.
				if printable(text) && !(fine(byte(a)) && fine(byte(b))) {
					t.Fatalf("%q", text)
				}
			}
		}
	}
}
