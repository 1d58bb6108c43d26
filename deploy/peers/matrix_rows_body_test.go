//go:build peers

package peers

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

func bodyRows() []feature {
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	zip.Write([]byte("a page"))
	zip.Close()
	encoded := func(name, encoding, content string) feature {
		return feature{name: name, ask: ask{target: telling("Content-Encoding: "+encoding, "b="+content), header: fields("Accept-Encoding", "gzip, br")},
			want: all(status(200), field("Content-Encoding", encoding), body(content))}
	}
	down := func(name string, size int) feature {
		return feature{name: name, ask: ask{target: fmt.Sprintf("/down?n=%d", size)}, want: all(status(200), whole(filling(size)), field("Content-Length", fmt.Sprint(size)))}
	}
	up := func(name string, size int, chunked bool) feature {
		length := int64(size)
		if chunked {
			length = -1
		}
		return feature{name: name, ask: ask{method: "POST", target: "/echo/a", body: filling(size), chunked: chunked}, want: content(length, filling(size)), apart: []string{"Content-Length"}}
	}
	wired := func(name, answer string, want judge) feature {
		return feature{name: name, ask: ask{target: "/wire?w=" + url.QueryEscape(answer)}, want: want}
	}
	const tenThousand = "Content-Length: 10000\r\n\r\n"
	half := strings.Repeat("x", 5000)
	return []feature{
		encoded("a gzip body as it is", "gzip", zipped.String()),
		encoded("a br body as it is", "br", "\x8b\x02\x80a page\x03"),
		{name: "no encoding is added", ask: ask{target: telling("Content-Type: text/html", "b="+strings.Repeat("page ", 1000)), header: fields("Accept-Encoding", "gzip, br")},
			want: all(status(200), field("Content-Encoding"), body(strings.Repeat("page ", 1000)))},
		{name: "Content-Length is kept", ask: ask{target: telling("Content-Length: 4", "b=page")}, want: all(field("Content-Length", "4"), body("page"))},
		{name: "an answer in chunks", ask: ask{target: telling("b=one|two|three")}, want: all(status(200), field("Content-Length"), body("onetwothree"))},
		{name: "an empty answer", ask: ask{target: telling("Content-Length: 0")}, want: all(status(200), field("Content-Length", "0"), body(""))},
		down("1 MiB down", 1<<20),
		down("8 MiB down", 8<<20),
		up("1 MiB up", 1<<20, false),
		up("8 MiB up", 8<<20, false),
		up("8 MiB up in chunks", 8<<20, true),
		{name: "request trailers", ask: ask{method: "POST", target: "/echo/a", body: []byte("text"), chunked: true, trailer: fields("X-Sum", "abc")},
			want:   arrived(func(_ *lane, s saw) string { return same("trailer", s.Trailer["X-Sum"], []string{"abc"}) }),
			origin: map[string]string{"nginx": noTrailersNginx, "apache": noTrailersApache}},
		{name: "trailers of the answer", ask: ask{target: "/trailers", header: fields("Te", "trailers")}, want: all(body("body"), trailer("X-Sum", "abc")),
			origin: map[string]string{"nginx": noTrailersNginx, "apache": noTrailersApache}},
		{name: "server-sent events, each at once", try: func(l *lane) string { return held(l, "/events", "data: one\n\n", "data: one\n\ndata: two\n\n") }},
		{name: "a long poll", try: func(l *lane) string { return held(l, "/late", "", "late") }},
		wired("an answer until the connection's end", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe end", all(status(200), body("the end"))),
		wired("an answer of HTTP/1.0", "HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nold", all(status(200), field("X-Old", "1"), body("old"))),
		wired("an origin that closes in its body", "HTTP/1.1 200 OK\r\n"+tenThousand+half, broken),
		wired("an origin that closes between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n"+half+"\r\n", broken),
		{name: "an origin that says nothing: 502", own: true, ask: ask{target: "/wire?w="}, want: status(502)},
		{name: "the origin's own 421 becomes 502", own: true, ask: ask{target: "/native/421"}, want: status(502)},
		{name: "gRPC over an h2c origin", ask: ask{method: "POST", prefix: "rpc.", target: "/pkg.Service/Method", body: []byte("\x00\x00\x00\x00\x05hello"),
			header: fields("Content-Type", "application/grpc", "Te", "trailers")},
			want: all(status(200), field("Content-Type", "application/grpc"), field("X-Te", "trailers"), body("\x00\x00\x00\x00\x05hello"), trailer("Grpc-Status", "0")), apart: []string{"Content-Length"}},
	}
}

// held asks for an answer of which the origin sends the first part, and the rest only when that has come.
func held(l *lane, path, first, whole string) string {
	ctx, cancel := context.WithTimeout(context.Background(), laneTime)
	defer cancel()
	door := l.app.fresh()
	if first == "" {
		l.app.open(door)
	}
	response, err := l.transport.RoundTrip(l.request(ctx, ask{target: path + "?door=" + door}))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	begun := make([]byte, len(first))
	if _, err := io.ReadFull(response.Body, begun); err != nil || string(begun) != first {
		return fmt.Sprintf("%q came first, and %v", begun, err)
	}
	if first != "" {
		l.app.open(door)
	}
	rest, err := io.ReadAll(response.Body)
	if got := string(begun) + string(rest); response.StatusCode != http.StatusOK || err != nil || got != whole {
		return fmt.Sprintf("%d, %q, %v", response.StatusCode, got, err)
	}
	return ""
}
