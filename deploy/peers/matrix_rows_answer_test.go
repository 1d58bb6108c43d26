//go:build peers

package peers

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
)

func answerRows() []feature {
	said := func(name, key string, values ...string) feature {
		var what []string
		for _, value := range values {
			what = append(what, key+": "+value)
		}
		return feature{name: name, ask: ask{target: telling(append(what, "b=page")...)}, want: all(status(200), field(key, values...), body("page"))}
	}
	code := func(name, status_ string, want judge, what ...string) feature {
		return feature{name: name, ask: ask{target: telling(append(what, "s="+status_)...)}, want: want}
	}
	native := func(name string, code string, want judge) feature {
		return feature{name: name, ask: ask{target: "/native/" + code}, want: want}
	}
	const elsewhere = "https://other.example/a%2Fb?x=%20#part"
	return []feature{
		said("three Set-Cookie, in their order", "Set-Cookie", "b=2; Path=/", "a=1; HttpOnly", "c=3"),
		said("a repeated field of the answer", "X-Many", "2", "1"),
		said("an empty field of the answer", "X-Empty", ""),
		said("UTF-8 in a field of the answer", "X-Word", "bücher"),
		said("a field of 3,000 bytes of the answer", "X-Long", strings.Repeat("y", 3000)),
		but(said("Vary", "Vary", "Accept-Encoding, Cookie"), "apache", "Apache writes Vary anew, without blanks"),
		said("a weak ETag", "Etag", `W/"abc"`),
		said("Date", "Date", "Tue, 15 Nov 1994 08:12:31 GMT"),
		said("Server", "Server", "the-origin/1.0"),
		said("Content-Type", "Content-Type", "text/x-strange; charset=iso-8859-1"),
		{name: "no Content-Type where there is none", ask: ask{target: telling("b=<html>page")}, want: all(status(200), field("Content-Type"), body("<html>page"))},
		said("Strict-Transport-Security and its kin", "Strict-Transport-Security", "max-age=1"),
		said("Link and Cache-Control", "Link", "</a>; rel=next", "</b>; rel=prev"),
		{name: "Alt-Svc is dropped where the site refuses", ask: ask{target: telling(`Alt-Svc: h3=":443"`, "b=page")}, want: all(status(200), field("Alt-Svc"), body("page")), apart: []string{"Alt-Svc"}},
		{name: "Alt-Svc is kept where it allows", ask: ask{prefix: "open.", target: telling(`Alt-Svc: h3=":443"`, "b=page")}, want: all(field("Alt-Svc", `h3=":443"`), body("page"))},
		{name: "what the answer's Connection names stays behind", ask: ask{target: telling("Connection: X-Hop", "X-Hop: 1", "b=page")}, want: all(status(200), field("X-Hop")), apart: []string{"X-Hop"},
			origin: map[string]string{"nginx": "nginx does not heed what its own upstream's Connection names, and passes it on as an ordinary field"}},
		code("204", "204", all(status(204), body(""), field("Content-Length"))),
		code("205", "205", all(status(205), body("")), "Content-Length: 0"),
		code("301, Location as it is", "301", all(status(301), field("Location", elsewhere)), "Location: "+elsewhere),
		code("302, a relative Location", "302", all(status(302), field("Location", "../b?x=%2F")), "Location: ../b?x=%2F"),
		code("307 to plain http", "307", all(status(307), field("Location", "http://go.test/a")), "Location: http://go.test/a"),
		code("429 with Retry-After", "429", all(status(429), field("Retry-After", "120")), "Retry-After: 120"),
		code("503 with Retry-After", "503", all(status(503), field("Retry-After", "Fri, 31 Dec 2027 23:59:59 GMT")), "Retry-After: Fri, 31 Dec 2027 23:59:59 GMT"),
		code("a status that nobody knows", "299", status(299)),
		native("301 of the server itself", "301", all(status(301), ends("Location", "/elsewhere?x=%2F"))),
		native("302 of the server itself", "302", all(status(302), ends("Location", "/elsewhere?x=%2F"))),
		native("307 of the server itself", "307", all(status(307), ends("Location", "/elsewhere?x=%2F"))),
		native("401 with WWW-Authenticate", "401", all(status(401), field("Www-Authenticate", `Basic realm="the back room"`))),
		native("403", "403", status(403)),
		native("404", "404", status(404)),
		native("410", "410", status(410)),
		native("500", "500", status(500)),
		native("503", "503", status(503)),
	}
}

// ends is a field that ends so.
func ends(name, end string) judge {
	return func(_ *lane, g got) string {
		if !strings.HasSuffix(g.header.Get(name), end) {
			return name + " " + g.header.Get(name)
		}
		return ""
	}
}

// Files, which each server serves itself.
func fileRows() []feature {
	page := filling(100_000)
	of := func(name string, want judge, pairs ...string) feature {
		return feature{name: name, ask: ask{target: "/files/page.html", header: fields(pairs...)}, want: want}
	}
	date := fileTime.Format(http.TimeFormat)
	return []feature{
		of("a file", all(status(200), whole(page), field("Content-Length", "100000"), field("Last-Modified", date))),
		{name: "a file's HEAD", ask: ask{method: "HEAD", target: "/files/page.html"}, want: all(status(200), body(""), field("Content-Length", "100000"))},
		{name: "a file that is not there", ask: ask{target: "/files/none"}, want: status(404)},
		of("Range", all(status(206), whole(page[10:30]), field("Content-Range", "bytes 10-29/100000")), "Range", "bytes=10-29"),
		of("Range of the last bytes", all(status(206), whole(page[99_900:]), field("Content-Range", "bytes 99900-99999/100000")), "Range", "bytes=-100"),
		of("Range from a byte on", all(status(206), whole(page[70_000:])), "Range", "bytes=70000-"),
		{name: "Range of several parts", try: severalRanges},
		but(of("Range beyond the end: 416", all(status(416), field("Content-Range", "bytes */100000")), "Range", "bytes=200000-"), "apache", "Apache answers 416 without Content-Range"),
		of("If-Range that holds", all(status(206), whole(page[:5])), "Range", "bytes=0-4", "If-Range", date),
		of("If-Range that does not", all(status(200), whole(page)), "Range", "bytes=0-4", "If-Range", `"other"`),
		of("If-Modified-Since: 304", all(status(304), body("")), "If-Modified-Since", date),
		of("If-Unmodified-Since: 412", status(412), "If-Unmodified-Since", "Thu, 01 Jan 1998 00:00:00 GMT"),
		of("If-None-Match that does not match", all(status(200), whole(page)), "If-None-Match", `"other"`),
		of("If-Match: 412", status(412), "If-Match", `"other"`),
		{name: "If-None-Match: 304", try: noneMatch},
		of("gzip of the server itself", all(status(200), field("Content-Encoding", "gzip"), field("Vary", "Accept-Encoding"), unzipped(page)), "Accept-Encoding", "gzip"),
	}
}

// severalRanges: the boundary differs from answer to answer.
func severalRanges(l *lane) string {
	g := l.exchange(ask{target: "/files/page.html", header: fields("Range", "bytes=0-4,100-109")})
	page := filling(100_000)
	kind := g.header.Get("Content-Type")
	switch {
	case g.status != 206 || g.err != nil || !strings.HasPrefix(kind, "multipart/byteranges; boundary="):
		return status(206)(l, g) + " " + kind
	case !bytes.Contains(g.body, page[:5]) || !bytes.Contains(g.body, page[100:110]) || !bytes.Contains(g.body, []byte(strings.TrimPrefix(kind, "multipart/byteranges; boundary="))):
		return "parts miss"
	}
	return ""
}

func noneMatch(l *lane) string {
	first := l.exchange(ask{target: "/files/page.html"})
	tag := first.header.Get("Etag")
	g := l.exchange(ask{target: "/files/page.html", header: fields("If-None-Match", tag)})
	if tag == "" {
		return "no ETag"
	}
	return all(status(304), body(""), field("Etag", tag))(l, g)
}

func unzipped(want []byte) judge {
	return func(_ *lane, g got) string {
		r, err := gzip.NewReader(bytes.NewReader(g.body))
		if err != nil {
			return err.Error()
		}
		var out bytes.Buffer
		if _, err := out.ReadFrom(r); err != nil || !bytes.Equal(out.Bytes(), want) {
			return "another content"
		}
		return ""
	}
}
