//go:build peers

package peers

import (
	"fmt"
	"net/http"
	"strings"
)

// Why origins do not do what is asked of them.
const (
	noTrailersNginx  = "nginx 1.22 drops trailers, of requests and of its own upstream's answers"
	noTrailersApache = "Apache's mod_proxy_http drops trailers"
	noSuchIn2        = "HTTP/2 has no such thing"
)

func requestRows() []feature {
	text := []byte("name=value&more=1")
	simple := func(name, method string) feature {
		return feature{name: name, ask: ask{method: method, target: "/echo/a"}, want: all(line(method, "/echo/a"), content(0, nil))}
	}
	with := func(name, method string) feature {
		return feature{name: name, ask: ask{method: method, target: "/echo/a", body: text}, want: all(line(method, "/echo/a"), content(int64(len(text)), text))}
	}
	return []feature{
		simple("GET", "GET"),
		{name: "HEAD", ask: ask{method: "HEAD", target: "/down?n=1234"}, want: all(status(200), body(""), field("Content-Length", "1234"))},
		with("POST with Content-Length", "POST"),
		{name: "POST in chunks", ask: ask{method: "POST", target: "/echo/a", body: text, chunked: true}, want: content(-1, text), apart: []string{"Content-Length"}},
		{name: "POST without a body", ask: ask{method: "POST", target: "/echo/a"}, want: all(line("POST", "/echo/a"), content(0, nil))},
		with("PUT", "PUT"),
		with("PATCH", "PATCH"),
		simple("DELETE", "DELETE"),
		with("DELETE with a body", "DELETE"),
		with("GET with a body", "GET"),
		simple("OPTIONS", "OPTIONS"),
		simple("PROPFIND", "PROPFIND"),
		simple("an unknown method", "BREW"),
		{name: "OPTIONS *", ask: ask{method: "OPTIONS", target: "*"}, want: all(status(200), body(""), field("Content-Length", "0")),
			origin: map[string]string{"nginx": "nginx answers OPTIONS * with 400"}},
		{name: "CONNECT is refused", try: connectRefused},
	}
}

func connectRefused(l *lane) string {
	g := l.exchangeOver(l.transport, ask{method: "CONNECT", target: "/"})
	if g.status != http.StatusMethodNotAllowed {
		return fmt.Sprintf("status %d, error %v, want 405", g.status, g.err)
	}
	return ""
}

func targetRows() []feature {
	at := func(name, target string) feature {
		return feature{name: name, ask: ask{target: target}, want: line("GET", target)}
	}
	long := "/echo/" + strings.Repeat("0123456789", 800)
	rows := []feature{
		at("a query", "/echo/a?x=1&x=2&y="),
		at("an empty query", "/echo/a?"),
		at("a query with ;, ? and a bad escape", "/echo/a?a=1;b=2&c=?/%zz&d=%"),
		at("escapes of plain letters", "/echo/%41%7e"),
		at("%2F in a path", "/echo/a%2Fb%2fc"),
		at("%2e%2e in a path", "/echo/a/%2e%2e/b/%2E/c"),
		at("dots in a path", "/echo/a/../b/./c"),
		at("// in a path", "/echo//a///b"),
		{name: "// at the path's start", try: leadingSlashes, origin: map[string]string{"apache": "Apache makes one slash of two at the path's start"}},
		at("; in a path", "/echo/a;v=1/b;w"),
		at("%3F and %23 in a path", "/echo/a%3Fb%23c"),
		at("UTF-8 in a path, escaped", "/echo/b%C3%BCcher"),
		at("UTF-8 in a path, as it is", "/echo/bücher"),
		at("other bytes in a path", `/echo/a|b"c<d>[e]{f}^g\h`),
		at("a path of 8,000 bytes", long[:8000]),
		{name: "a Host with a port", ask: ask{target: "/echo/a", port: ":8443"}, want: arrived(func(l *lane, s saw) string {
			return same("Host", []string{s.Host}, []string{l.host + ":8443"})
		})},
		{name: "the Host as it is", ask: ask{target: "/echo/a"}, want: arrived(func(l *lane, s saw) string {
			return same("Host", []string{s.Host}, []string{l.host})
		})},
	}
	return rows
}

func fieldRows() []feature {
	sent := func(name, key string, values ...string) feature {
		return feature{name: name, ask: ask{target: "/echo/a", header: http.Header{key: values}}, want: header(key, values...)}
	}
	hundred := http.Header{}
	for i := range 100 {
		hundred.Set(fmt.Sprintf("X-Number-%d", i), fmt.Sprint(i))
	}
	return []feature{
		{name: "100 header fields", ask: ask{target: "/echo/a", header: hundred}, want: arrived(func(_ *lane, s saw) string {
			for name := range hundred {
				if wrong := same(name, s.Header[name], hundred[name]); wrong != "" {
					return wrong
				}
			}
			return ""
		})},
		but(sent("a repeated field, in its order", "X-Many", "3", "1", "2"), "apache", "Apache joins repeated fields, in their order, with commas"),
		sent("an empty field", "X-Empty", ""),
		sent("a field with UTF-8 in it", "X-Word", "bücher"),
		sent("a field of 4,000 bytes", "X-Long", strings.Repeat("x", 4000)),
		sent("Cookie (HTTP/2 sends it in parts)", "Cookie", "a=1; b=2; c=3"),
		sent("Authorization", "Authorization", "Bearer abc.def"),
		sent("Accept-Encoding as it is", "Accept-Encoding", "br;q=1, zstd"),
		{name: "no Accept-Encoding where there is none", ask: ask{target: "/echo/a"}, want: header("Accept-Encoding")},
		but(sent("a name with an underscore", "X_under_score", "1"), "nginx", "nginx drops names with underscores unless it is told otherwise"),
		but(sent("TE: trailers", "Te", "trailers"), "nginx", "TE is about one connection, and nginx tells its own upstream nothing of it", "apache", "TE is about one connection, and mod_proxy_http tells its own upstream nothing of it"),
		{name: "what Connection names stays behind", ask: ask{target: "/echo/a", header: fields("Connection", "X-Hop, keep-alive", "X-Hop", "1", "X-End", "2")},
			want: all(header("X-Hop"), header("X-End", "2")), apart: []string{"X-Hop"}, absent: map[string]string{"HTTP/2.0": noSuchIn2}},
		{name: "X-Forwarded-For, -Host and -Proto", ask: ask{target: "/echo/a"}, want: all(header("X-Forwarded-For", laneClient), header("X-Forwarded-Proto", "https"),
			arrived(func(l *lane, s saw) string {
				return same("X-Forwarded-Host", s.Header["X-Forwarded-Host"], []string{l.host})
			}))},
		{name: "a client's own words about itself are dropped",
			ask:  ask{target: "/echo/a", header: fields("X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.1", "X-Real-Ip", "192.0.2.1", "X-Forwarded-Proto", "http")},
			want: all(header("X-Forwarded-For", laneClient), header("X-Forwarded-Proto", "https"), header("Forwarded"), header("X-Real-Ip", laneClient)), apart: []string{"Forwarded", "X-Real-Ip"}},
	}
}

// but gives a feature the reasons why origins fail, by column.
func but(r feature, reasons ...string) feature {
	r.origin = map[string]string{}
	for i := 0; i < len(reasons); i += 2 {
		r.origin[reasons[i]] = reasons[i+1]
	}
	return r
}

// leadingSlashes: Go's HTTP/1.1 client cannot ask for such a path.
func leadingSlashes(l *lane) string {
	if l.proto == "HTTP/2.0" {
		return line("GET", "//echo/a")(l, l.exchange(ask{target: "//echo/a"}))
	}
	answer, content, err := l.raw("GET //echo/a HTTP/1.1\r\nHost: " + l.host + "\r\nConnection: close\r\n\r\n")
	if err != nil {
		return err.Error()
	}
	return line("GET", "//echo/a")(l, readSaw(answer, content))
}
