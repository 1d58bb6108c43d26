//go:build peers

package peers

import "strings"

// methodAttacks would turn the connection into something else, or see what the gateway adds.
func methodAttacks() []attack {
	// A client that does not wait for the answer to a CONNECT goes on with what is no HTTP (RFC 9931): nothing is read
	// behind it.
	all := refused1("405", as,
		"CONNECT", "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"CONNECT with a body", "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 43\r\n\r\n"+smuggled,
		"CONNECT, a request in the tunnel", "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test\r\n\r\n"+smuggled,
	)
	all = append(all, attack{name: "CONNECT with a path", send: headLine("CONNECT /g HTTP/1.1"), answer: "405 or 400"},
		attack{name: "CONNECT elsewhere", send: "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n", answer: "404 or 405"})
	all = append(all,
		attack{name: "TRACE", send: headLine("TRACE /g HTTP/1.1"), answer: "405", open: true},
		attack{name: "TRACE with Max-Forwards", send: "TRACE /g HTTP/1.1\r\nHost: shop.test\r\nMax-Forwards: 0\r\n\r\n", answer: "405", open: true},
		attack{name: "TRACE with a body", send: "TRACE /g HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 43\r\n\r\n" + smuggled, answer: "405", either: true},
	)
	ws := "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	return append(all, passing1(as,
		"trace in lower case", headLine("trace /g HTTP/1.1"), "trace /g shop.test",
		"Upgrade: h2c", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), "GET /g shop.test",
		"Upgrade: h2c, not named in Connection", get("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), "GET /g shop.test",
		"Upgrade: H2C in upper case", get("Connection: Upgrade\r\nUpgrade: H2C\r\n"), "GET /g shop.test",
		"Upgrade: websocket, h2c", get("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"), "GET /g shop.test",
		"Upgrade: websocket and h2c in two fields", get(ws+"Upgrade: h2c\r\n"), "GET /g shop.test",
		"HTTP2-Settings alone", get("HTTP2-Settings: AA\r\n"), "GET /g shop.test",
		"HTTP2_Settings", get("HTTP2_Settings: AA\r\n"), "GET /g shop.test",
		"Upgrade: h2c with a body", post("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 5\r\n", "hello"),
		`POST /p shop.test; Content-Length: 5 "hello"`,
		"Upgrade: websocket that is not done", get(ws+"Sec-WebSocket-Version: 777\r\n"), "GET /g shop.test; Sec-WebSocket-Version: 777; Connection: Upgrade; Upgrade: websocket",
		"Upgrade: websocket, not named in Connection", get("Upgrade: websocket\r\n"), "GET /g shop.test",
		"Upgrade: websocket with a body", post(ws+"Content-Length: 5\r\n", "hello"), `POST /p shop.test; Content-Length: 5 "hello"`,
	)...)
}

// connectionAttacks would have fields dropped that matter, or believed that are not the client's to say.
func connectionAttacks() []attack {
	return passing1(as,
		"Connection: Content-Length", post("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"), `POST /p shop.test; Content-Length: 5 "hello"`,
		"Connection: Transfer-Encoding", post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", fiveChunked), wholeChunked,
		"Connection: Host", get("Connection: Host\r\n"), "GET /g shop.test",
		"Connection: X-Forwarded-For", get("Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto\r\nX-Forwarded-For: 66.249.66.1\r\n"), "GET /g shop.test",
		"Connection: Cookie", get("Connection: Cookie\r\nCookie: a=b\r\n"), "GET /g shop.test",
		"Connection: Authorization", get("Connection: keep-alive, authorization\r\nAuthorization: Basic eA==\r\n"), "GET /g shop.test",
		"Connection: User-Agent", get("Connection: User-Agent\r\nUser-Agent: x\r\n"), "GET /g shop.test",
		"Connection: what is not there", get("Connection: X-Y\r\nX-Z: z\r\n"), "GET /g shop.test; X-Z: z",
		"Connection: a list with blanks and empty members", get("Connection: , X-Y\t,,\r\nX-Y: z\r\n"), "GET /g shop.test",
		"Connection: in two fields", get("Connection: keep-alive\r\nConnection: X-Y\r\nX-Y: z\r\n"), "GET /g shop.test",
		"Connection: in quotes", get("Connection: \"X-Y\"\r\nX-Y: z\r\n"), "GET /g shop.test; X-Y: z",
		"hop-by-hop fields", get("Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nTE: gzip\r\n"), "GET /g shop.test",
		"TE: trailers", get("TE: trailers, chunked\r\n"), "GET /g shop.test; TE: trailers",
		"X-Forwarded-For and kin", get("X-Forwarded-For: 6\r\nX-Real-IP: 6\r\nForwarded: for=6\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: evil.test\r\n"), "GET /g shop.test",
		"X-Forwarded- and further words", get("X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /x\r\nX-Forwarded-Server: x\r\nX-Forwarded-SSL: on\r\nX-Forwarded: 6\r\n"), "GET /g shop.test",
		"addresses in CDNs' words", get("CF-Connecting-IP: 6\r\nTrue-Client-IP: 6\r\nX-Client-IP: 6\r\nFastly-Client-IP: 6\r\nX-Original-Forwarded-For: 6\r\n"), "GET /g shop.test",
	)
}

// underscoreAttacks have names that CGI and its descendants take for others.
func underscoreAttacks() []attack {
	return passing1(get,
		"X_Forwarded_For", "X_Forwarded_For: 66.249.66.1\r\n", "GET /g shop.test",
		"X_Forwarded-For", "X_Forwarded-For: 66.249.66.1\r\n", "GET /g shop.test",
		"x_real_ip", "x_real_ip: 66.249.66.1\r\n", "GET /g shop.test",
		"X_Forwarded_Proto and Host", "X_Forwarded_Proto: http\r\nX_Forwarded_Host: evil.test\r\n", "GET /g shop.test",
		"Content_Length and Transfer_Encoding", "Content_Length: 0\r\nTransfer_Encoding: identity\r\n", "GET /g shop.test",
		"Keep_Alive and Proxy_Connection", "Keep_Alive: 5\r\nProxy_Connection: keep-alive\r\n", "GET /g shop.test",
		"Proxy_Authorization", "Proxy_Authorization: x\r\n", "GET /g shop.test",
		"X_Y", "X_Y: z\r\n", "GET /g shop.test; X_Y: z",
		"X_Y beside X-Y", "X-Y: 1\r\nX_Y: 2\r\n", "GET /g shop.test; X-Y: 1; X_Y: 2",
		"Host_ beside Host", "Host_: evil.test\r\nX-Host: evil.test\r\n", "GET /g shop.test; Host_: evil.test; X-Host: evil.test",
		"X_Y named in Connection", "Connection: X_Y\r\nX_Y: z\r\n", "GET /g shop.test",
	)
}

// fieldAttacks are about how fields are written.
func fieldAttacks() []attack {
	all := refused1("400", get,
		"name: empty", ": x\r\n", "name: a blank", " : x\r\n", "name: no colon", "X\r\n", "name: a space before the colon", "X : y\r\n", "name: a tab before the colon", "X\t: y\r\n",
		"name: with a space", "X Y: z\r\n", "name: with NUL", "X\x00: y\r\n", "name: with a vertical tab", "X\v: y\r\n", "name: with a form feed", "\fX: y\r\n", "name: with CR", "X\rY: z\r\n",
		"name: with DEL", "X\x7f: y\r\n", "name: beyond ASCII", "X\xe4: y\r\n", "name: 0x80", "\x80: y\r\n", "name: in quotes", "\"X\": y\r\n", "name: in parentheses", "(X): y\r\n",
		"name: with a slash", "X/Y: z\r\n", "name: with @", "X@Y: z\r\n", "name: with a comma", "X,Y: z\r\n", "name: with =", "X=Y: z\r\n",
		"value: NUL", "X: y\x00z\r\n", "value: NUL alone", "X: \x00\r\n", "value: 0x01", "X: \x01\r\n", "value: backspace", "X: y\b\r\n", "value: vertical tab", "X: y\vz\r\n",
		"value: form feed", "X: y\fz\r\n", "value: ESC", "X: \x1b[1m\r\n", "value: 0x1f", "X: \x1f\r\n", "value: DEL", "X: y\x7f\r\n", "value: bare CR", "X: y\rEvil: z\r\n",
		"value: bare CR before a blank", "X: y\r Evil: z\r\n", "value: CR at its end", "X: y\r\r\n", "value: CR at its beginning", "X:\ry\r\n", "value: CR alone", "X: \r\r\n",
		"value: two CR and a request", "X: y\r\r"+smuggled, "fold: a value", "X: y\r\n z\r\n", "fold: a value, with a tab", "X: y\r\n\tz\r\n", "fold: an empty value", "X:\r\n y\r\n",
		"fold: a line of a blank", "X: y\r\n \r\n", "fold: behind LF", "X: y\n z\r\n", "fold: a field in it", "X: y\r\n Evil: z\r\n",
	)
	all = append(all, attack{name: "fold: before the first field", send: "GET /g HTTP/1.1\r\n X: y\r\nHost: shop.test\r\n\r\n", answer: "400"},
		attack{name: "fold: a blank for the empty line", send: "GET /g HTTP/1.1\r\nHost: shop.test\r\n \r\n\r\n", answer: "400"},
		attack{name: "fold: CR for the empty line", send: "GET /g HTTP/1.1\r\nHost: shop.test\r\n\r\r\n", answer: "400"})
	return append(all, passing1(get,
		"value: beyond ASCII", "X: \xff\xc3\xa4\x80\r\n", "GET /g shop.test; X: <ff><c3><a4><80>",
		"value: a tab", "X: y\tz\r\n", "GET /g shop.test; X: y\tz",
		"value: empty", "X:\r\n", "GET /g shop.test; X: ",
		"value: blanks around", "X: \t y \t \r\n", "GET /g shop.test; X: y",
		"value: a colon", "X: Host: evil.test\r\n", "GET /g shop.test; X: Host: evil.test",
		"value: escapes of CR and LF", "X: %0d%0aEvil: z\\r\\n\r\n", `GET /g shop.test; X: %0d%0aEvil: z\r\n`,
		"value: what some decode to CR and LF", "X: y\u560d\u560aEvil: z\r\n", "GET /g shop.test; X: y<e5><98><8d><e5><98><8a>Evil: z",
		"name: every character of a token", "!#$%&'*+-.^_`|~0A: y\r\n", "GET /g shop.test; !#$%&'*+-.^_`|~0A: y",
		"two fields of a name", "X: 2\r\nX: 1\r\n", "GET /g shop.test; X: 2; X: 1",
	)...)
}

// oversizeAttacks are larger than anybody needs.
func oversizeAttacks() []attack {
	long := strings.Repeat("x", 40<<10)
	all := refused1("414", as,
		"target of 40 KiB", headLine("GET /"+long+" HTTP/1.1"),
		"request line without an end", "GET /"+long,
	)
	all = append(all, refused1("431", as,
		"method of 40 KiB", headLine(long+" /g HTTP/1.1"),
		"header of 40 KiB", get("X: "+long+"\r\n"),
		"name of 40 KiB", get(long+": y\r\n"),
		"40 headers of 1 KiB", get(strings.Repeat("X: "+long[:1<<10]+"\r\n", 40)),
		"a header of 40 KiB beside a body", post("X: "+long+"\r\nContent-Length: 43\r\n", smuggled),
	)...)
	all = append(all, attack{name: "129 fields and Host", send: get(strings.Repeat("X: y\r\n", 129)), answer: "431", either: true},
		attack{name: "10,000 empty fields", send: get(strings.Repeat("X:\r\n", 10_000)), answer: "431"})
	all = append(all, refused1("400", as,
		"100 empty lines before a request", strings.Repeat("\r\n", 100)+get(""),
		"chunk line of 5 KiB", brokenPost("5;"+long[:5<<10]+"\r\nhello\r\n0\r\n\r\n"),
		"chunk line without an end", brokenPost("5;"+long),
		"size of 5 KiB of zeros", brokenPost(strings.Repeat("0", 5<<10)+"5\r\nhello\r\n0\r\n\r\n"),
		"size of 5 KiB of blanks", brokenPost("5"+strings.Repeat(" ", 5<<10)+"\r\nhello\r\n0\r\n\r\n"),
		"trailers of 64 KiB", brokenPost("5\r\nhello\r\n0\r\n"+strings.Repeat("X-Sum: "+long[:1<<10]+"\r\n", 64)+"\r\n"),
		"trailers without an end", brokenPost("5\r\nhello\r\n0\r\nX-Sum: "+long+long),
		"64 KiB of small trailers", brokenPost("5\r\nhello\r\n0\r\n"+strings.Repeat("X: y\r\n", 11_000)+"\r\n"),
		"Content-Length of 40 digits", post("Content-Length: "+strings.Repeat("0", 39)+"5\r\n", "hello"),
		"Host of 20 KiB that is none", "GET /g HTTP/1.1\r\nHost: "+long[:20<<10]+",\r\n\r\n",
	)...)
	return append(all, passing1(as,
		"target of 16 KiB", headLine("GET /"+long[:16<<10]+" HTTP/1.1"), "GET /x{16384} shop.test",
		"header of 30 KiB", get("X: "+long[:30<<10]+"\r\n"), "GET /g shop.test; X: x{30720}",
		"127 fields and Host", get(strings.Repeat("X: y\r\n", 127)), "GET /g shop.test"+strings.Repeat("; X: y", 127),
		"1,000 chunks of a byte", chunkedPost(strings.Repeat("1\r\nx\r\n", 1000)+"0\r\n\r\n"), `POST /p shop.test; Transfer-Encoding: chunked "x{1000}"`,
	)...)
}
