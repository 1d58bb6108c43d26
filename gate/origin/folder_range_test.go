package origin

import (
	"strings"
	"testing"
)

// Ranges are what RFC 9110 section 14 says: what is no range of bytes gets the whole, what the file has no byte of gets
// 416.
func TestFolderRanges(t *testing.T) {
	const whole = ""
	const none = "none"
	root, url := site(t, "sub/b.txt")
	_ = root
	many := "bytes=" + strings.Repeat("0-0,", mostRanges)
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		for said, want := range map[string]string{
			"bytes=2-4": "2-4", "Bytes=2-4": "2-4", "BYTES=2-4": "2-4", "bytes=0-": "0-9", "bytes=-3": "7-9", "bytes=9-9": "9-9", "bytes= 2-4 ": "2-4", "bytes=,2-4,": "2-4",
			"bytes=0-99": "0-9", "bytes=-99": "0-9", "bytes=-10": "0-9", "bytes=002-0000000000000000000000004": "2-4",
			"bytes=5-99999999999999999999999": "5-9", "bytes=-99999999999999999999999": "0-9", "bytes=0-18446744073709551615": "0-9",
			"bytes=-0": none, "bytes=-000": none, "bytes=10-": none, "bytes=10-20": none, "bytes=99999999999999999999999-": none, "bytes=-0,10-11": none,
			"bytes=2-4,10-": "2-4", "bytes=-0,2-4": "2-4", "bytes=20-30, 2-4, -0": "2-4",
			"lines=1-2": whole, "none": whole, "bytes": whole, "bytes=": whole, "bytes=,": whole, "bytes=-": whole, "bytes=a-b": whole, "bytes=2": whole, "bytes=4-2": whole,
			"bytes=+2-4": whole, "bytes=2-+4": whole, "bytes=--4": whole, "bytes=2-4-6": whole, "bytes=0x2-4": whole, "bytes=2 - 4": whole, "bytes =2-4": whole,
			"bytes:2-4": whole, "bytes=2-4;q": whole, "bytes=2-4,x": whole, "bytes=2-4,4-2": whole, "items=0-0": whole, "byte=2-4": whole, "bytes=２-4": whole, "": whole,
			"bytes=0-9,0-9": whole, "bytes=0-,-10": whole, many: whole, many + "1-1": whole,
		} {
			status, within, body := 206, "bytes "+want+"/10", ""
			switch want {
			case whole:
				status, within, body = 200, "", page
			case none:
				status, within, body = 416, "bytes */10", "invalid range: failed to overlap\n"
			default:
				body = page[want[0]-'0' : want[2]-'0'+1]
			}
			answer := g.get(t, "/a.txt", "Range: "+said)
			got := content(t, answer)
			receive(t, g.outcomes)
			if answer.StatusCode != status || answer.Header.Get("Content-Range") != within || got != body {
				t.Errorf("%.40q: %d, %q, %q", said, answer.StatusCode, answer.Header.Get("Content-Range"), got)
			}
		}
		several := g.get(t, "/a.txt", "Range: bytes=0-1,-0,-1")
		if kind := several.Header.Get("Content-Type"); several.StatusCode != 206 ||
			!strings.HasPrefix(kind, "multipart/byteranges; boundary=") {
			t.Errorf("several ranges: %s, %q", several.Status, kind)
		}
		if body := content(t, several); strings.Count(body, "Content-Range: bytes ") != 2 ||
			strings.Count(body, "Content-Type: text/plain; charset=utf-8\r\n") != 2 {
			t.Errorf("several ranges: %q", body)
		}
		if twice := g.get(t, "/a.txt", "Range: bytes=0-1", "Range: bytes=2-3"); twice.StatusCode != 200 ||
			content(t, twice) != page {
			t.Errorf("two fields: %s", twice.Status)
		}
	})
}

// A range is of the file that the client knows (RFC 9110 section 13.1.5), and looked at after the other conditions.
func TestFolderRangesUnderConditions(t *testing.T) {
	_, url := site(t)
	g := open(t, Config{Servers: []string{url}}, false)
	known := g.get(t, "/a.txt").Header
	tag, changed := known.Get("Etag"), known.Get("Last-Modified")
	for _, test := range []struct {
		fields string
		status int
	}{
		{"If-Range: " + tag, 206},
		{"If-Range: W/" + tag, 200},
		{"If-Range: " + changed, 206},
		{"If-Range: Fri, 31 Jul 2020 12:00:00 GMT", 200},
		{"If-Range: Fri, 31 Jul 2099 12:00:00 GMT", 200},
		{"If-Range: nonsense", 200},
		{"If-Range: \"x\"", 200},
		{"If-None-Match: " + tag, 304},
		{"If-Match: \"x\"", 412},
		{"If-None-Match: \"x\"", 206},
	} {
		if answer := g.get(t, "/a.txt", "Range: bytes=2-4", test.fields); answer.StatusCode != test.status {
			t.Errorf("%s: %s", test.fields, answer.Status)
		}
	}
	for _, test := range []struct{ fields, within string }{{"If-Range: \"x\"", ""}, {"If-Range: " + tag, "bytes */10"}} {
		answer := g.get(t, "/a.txt", "Range: bytes=-0", test.fields)
		if within := answer.Header.Get("Content-Range"); within != test.within {
			t.Errorf("bytes=-0 with %s: %s, %q", test.fields, answer.Status, within)
		}
	}
}

// An empty file has no bytes to choose from, and its answer is the whole.
func TestFolderRangesOfNothing(t *testing.T) {
	root, url := site(t)
	fill(t, root, "empty.txt", "")
	g := open(t, Config{Servers: []string{url}}, false)
	for _, said := range []string{"bytes=0-", "bytes=-1", "bytes=-0", "bytes=0-0", "bytes=5-"} {
		if answer := g.get(t, "/empty.txt", "Range: "+said); answer.StatusCode != 200 || answer.ContentLength != 0 {
			t.Errorf("%q: %s", said, answer.Status)
		}
	}
}
