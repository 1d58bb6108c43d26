//go:build peers

package peers

import "strings"

// headAttacks are about request lines, hosts and fields.
func headAttacks() []attack {
	return append(append(hostAttacks(), lineAttacks()...), fieldAttacks()...)
}

// line is a request with a request line.
func headLine(line string) string { return line + "\r\nHost: shop.test\r\n\r\n" }

func hostAttacks() []attack {
	host := func(host string) string { return "GET /g HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }
	return []attack{
		{name: "no Host", send: "GET /g HTTP/1.1\r\n\r\n", answer: "400"},
		{name: "no Host over HTTP/1.0", send: "GET /g HTTP/1.0\r\n\r\n", answer: "404"},
		{name: "two Hosts", send: get("Host: shop.test\r\n"), answer: "400"},
		{name: "two Hosts, the other one foreign", send: get("Host: evil.test\r\n"), answer: "400"},
		{name: "empty Host", send: host(""), answer: "404", open: true},
		{name: "Host with a blank", send: host("shop.test evil.test"), answer: "400"},
		{name: "Host with a comma", send: host("shop.test,evil.test"), answer: "404", open: true},
		{name: "Host with userinfo", send: host("evil@shop.test"), answer: "400"},
		{name: "Host with a path", send: host("shop.test/evil"), answer: "400"},
		{name: "Host with a backslash", send: host("shop.test\\evil"), answer: "400"},
		{name: "Host with a fragment", send: host("shop.test#evil"), answer: "400"},
		{name: "Host with NUL", send: host("shop.test\x00evil"), answer: "400"},
		{name: "Host with an umlaut", send: host("sh\u00f6p.test"), answer: "400"},
		{name: "Host with an escape", send: host("sho%70.test"), answer: "404", open: true},
		{name: "Host with a port that is none", send: host("shop.test:80a"), answer: "400"},
		{name: "Host with two ports", send: host("shop.test:80:443"), answer: "404", open: true},
		{name: "Host with an empty port", send: host("shop.test:"), answer: "200", open: true, view: "GET /g shop.test:"},
		{name: "Host with another port", send: host("shop.test:8443"), answer: "200", open: true, view: "GET /g shop.test:8443"},
		{name: "Host in upper case, with a dot", send: host("SHOP.Test."), answer: "200", open: true, view: "GET /g SHOP.Test."},
		{name: "Host unknown", send: host("other.test"), answer: "404", open: true},
		{name: "Host in brackets", send: host("[shop.test]"), answer: "400"},
		{name: "Host as a field that is folded", send: "GET /g HTTP/1.1\r\nHost:\r\n shop.test\r\n\r\n",
			answer: "200", open: true, view: "GET /g shop.test"},
		{name: "Host with a space before the colon", send: "GET /g HTTP/1.1\r\nHost : shop.test\r\n\r\n", answer: "400"},
		{name: "Host_ beside Host", send: get("Host_: evil.test\r\nX-Host: evil.test\r\n"),
			answer: "200", open: true, view: "GET /g shop.test; Host_: evil.test; X-Host: evil.test"},
		{name: "absolute form", send: headLine("GET http://shop.test/g HTTP/1.1"), answer: "200", open: true, view: "GET /g shop.test"},
		{name: "absolute form, Host differs", send: headLine("GET http://other.test/g HTTP/1.1"), answer: "404", open: true},
		{name: "absolute form names the site, Host does not", send: "GET http://shop.test/g HTTP/1.1\r\nHost: evil.test\r\n\r\n",
			answer: "200", open: true, view: "GET /g shop.test"},
		{name: "absolute form without Host", send: "GET http://shop.test/g HTTP/1.1\r\n\r\n", answer: "400"},
		{name: "absolute form with userinfo", send: headLine("GET http://evil@shop.test/g HTTP/1.1"), answer: "200", open: true, view: "GET /g shop.test"},
		{name: "absolute form with userinfo that is a host", send: headLine("GET http://shop.test:80@evil.test/g HTTP/1.1"), answer: "404", open: true},
		{name: "absolute form, other scheme", send: headLine("GET ftp://shop.test/g HTTP/1.1"), answer: "200", open: true, view: "GET /g shop.test"},
		{name: "absolute form, scheme alone", send: headLine("GET http:g HTTP/1.1"), answer: "400"},
		{name: "absolute form, no host", send: headLine("GET http:///g HTTP/1.1"), answer: "400"},
	}
}

func lineAttacks() []attack {
	return []attack{
		{name: "authority as a target", send: headLine("GET shop.test:443 HTTP/1.1"), answer: "400"},
		{name: "target without a slash", send: headLine("GET g HTTP/1.1"), answer: "400"},
		{name: "target *", send: headLine("GET * HTTP/1.1"), answer: "400"},
		{name: "OPTIONS *", send: headLine("OPTIONS * HTTP/1.1"), answer: "200", open: true, view: "OPTIONS * shop.test"},
		{name: "target with a blank", send: headLine("GET /g /evil HTTP/1.1"), answer: "400"},
		{name: "target with a tab", send: headLine("GET /g\t/evil HTTP/1.1"), answer: "400"},
		{name: "target with NUL", send: headLine("GET /g\x00 HTTP/1.1"), answer: "400"},
		{name: "target with a bare CR", send: headLine("GET /g\r/evil HTTP/1.1"), answer: "400"},
		{name: "target with a fragment", send: headLine("GET /g#evil HTTP/1.1"), answer: "200", open: true, view: "GET /g#evil shop.test"},
		{name: "target with dots and slashes", send: headLine("GET //a/../g/./%2e%2e/%2f;x?y=z HTTP/1.1"),
			answer: "200", open: true, view: "GET //a/../g/./%2e%2e/%2f;x?y=z shop.test"},
		{name: "two blanks before the target", send: headLine("GET  /g HTTP/1.1"), answer: "400"},
		{name: "tab before the target", send: headLine("GET\t/g HTTP/1.1"), answer: "400"},
		{name: "blank before the method", send: headLine(" GET /g HTTP/1.1"), answer: "400"},
		{name: "empty line before the request", send: "\r\n" + get(""), answer: "400"},
		{name: "no method", send: headLine("/g HTTP/1.1"), answer: "400"},
		{name: "method with a colon", send: headLine("GET: /g HTTP/1.1"), answer: "400"},
		{name: "method in lower case", send: headLine("get /g HTTP/1.1"), answer: "200", open: true, view: "get /g shop.test"},
		{name: "HTTP/0.9", send: "GET /g\r\n", answer: "400"},
		{name: "HTTP/1.0", send: headLine("GET /g HTTP/1.0"), answer: "200", view: "GET /g shop.test"},
		{name: "HTTP/1.2", send: headLine("GET /g HTTP/1.2"), answer: "200", open: true, view: "GET /g shop.test"},
		{name: "HTTP/2.0", send: headLine("GET /g HTTP/2.0"), answer: "505"},
		{name: "HTTP/1.10", send: headLine("GET /g HTTP/1.10"), answer: "400"},
		{name: "http/1.1", send: headLine("GET /g http/1.1"), answer: "400"},
		{name: "HTTP/2's preface", send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", answer: "404"},
		{name: "CONNECT", send: "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test\r\n\r\n", answer: "405", open: true},
		{name: "CONNECT elsewhere", send: "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n", answer: "404", open: true},
		{name: "CONNECT with a path", send: headLine("CONNECT /g HTTP/1.1"), answer: "405", open: true},
		{name: "TRACE", send: headLine("TRACE /g HTTP/1.1"), answer: "200", open: true, view: "TRACE /g shop.test"},
		{name: "TRACE with a body", send: "TRACE /g HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello",
			answer: "200", open: true, view: `TRACE /g shop.test; Content-Length: 5 "hello"`},
		{name: "target of 40 KiB", send: headLine("GET /" + strings.Repeat("x", 40<<10) + " HTTP/1.1"), answer: "431"},
		{name: "target of 16 KiB", send: headLine("GET /" + strings.Repeat("x", 16<<10) + " HTTP/1.1"),
			answer: "200", open: true, view: "GET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… (16399 characters)"},
		{name: "a pipeline", send: get("") + post("Content-Length: 5\r\n", "hello") + get(""),
			answer: "200 200 200", open: true, view: `GET /g shop.test | POST /p shop.test; Content-Length: 5 "hello" | GET /g shop.test`},
		{name: "TLS in TLS", send: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", answer: "400"},
	}
}

func fieldAttacks() []attack {
	const hello = "5\r\nhello\r\n0\r\n\r\n"
	return []attack{
		{name: "Upgrade: h2c", send: get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
			answer: "200", open: true, view: "GET /g shop.test"},
		{name: "Upgrade: h2c with a body", send: post("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 5\r\n", "hello"),
			answer: "200", open: true, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "Upgrade: websocket that is not done", send: get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n"),
			answer: "200", open: true, view: "GET /g shop.test; Sec-Websocket-Version: 777; Connection: Upgrade; Upgrade: websocket"},
		{name: "Connection: Content-Length", send: post("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"),
			answer: "200", open: true, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "Connection: Transfer-Encoding", send: post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", hello),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "Connection: Host", send: get("Connection: Host\r\n"), answer: "200", open: true, view: "GET /g shop.test"},
		{name: "Connection: X-Forwarded-For", send: get("Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto\r\nX-Forwarded-For: 66.249.66.1\r\n"),
			answer: "200", open: true, view: "GET /g shop.test"},
		{name: "Connection: Cookie", send: get("Connection: Cookie\r\nCookie: a=b\r\n"), answer: "200", open: true, view: "GET /g shop.test"},
		{name: "X-Forwarded-For and kin", send: get("X-Forwarded-For: 6\r\nX-Real-IP: 6\r\nForwarded: for=6\r\nX_Forwarded_For: 6\r\nX-Forwarded-Proto: http\r\n"),
			answer: "200", open: true, view: "GET /g shop.test"},
		{name: "hop-by-hop fields", send: get("Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nTE: gzip\r\n"),
			answer: "200", open: true, view: "GET /g shop.test"},
		{name: "empty field name", send: get(": x\r\n"), answer: "400"},
		{name: "field without a colon", send: get("X\r\n"), answer: "400"},
		{name: "space before a colon", send: get("X : y\r\n"), answer: "400"},
		{name: "space in a name", send: get("X Y: z\r\n"), answer: "400"},
		{name: "NUL in a name", send: get("X\x00: y\r\n"), answer: "400"},
		{name: "NUL in a value", send: get("X: y\x00z\r\n"), answer: "400"},
		{name: "bare CR in a value", send: get("X: y\rEvil: z\r\n"), answer: "400"},
		{name: "bare CR at the end of a value", send: get("X: y\r\r\n"), answer: "400"},
		{name: "DEL in a value", send: get("X: y\x7f\r\n"), answer: "400"},
		{name: "folded value", send: get("X: y\r\n z\r\n"), answer: "200", open: true, view: "GET /g shop.test; X: y z"},
		{name: "fold before the first field", send: "GET /g HTTP/1.1\r\n X: y\r\nHost: shop.test\r\n\r\n", answer: "400"},
		{name: "lines end in LF", send: "GET /g HTTP/1.1\nHost: shop.test\nX: y\n\n", answer: "200", open: true, view: "GET /g shop.test; X: y"},
		{name: "underscore in a name", send: get("X_Y: z\r\n"), answer: "200", open: true, view: "GET /g shop.test; X_y: z"},
		{name: "bytes beyond ASCII", send: get("X: \xff\xc3\xa4\r\n"), answer: "200", open: true, view: "GET /g shop.test; X: ?ä"},
		{name: "header of 40 KiB", send: get("X: " + strings.Repeat("x", 40<<10) + "\r\n"), answer: "431"},
		{name: "header of 30 KiB", send: get("X: " + strings.Repeat("x", 30<<10) + "\r\n"),
			answer: "200", open: true, view: "GET /g shop.test; X: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… (30741 characters)"},
		{name: "129 fields", send: get(strings.Repeat("X: y\r\n", 129)), answer: "431", open: true},
	}
}
