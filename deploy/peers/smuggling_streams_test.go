//go:build peers

package peers

import "strings"

// lengthAttacks2 say lengths that are not the DATA's.
func lengthAttacks2() []attack {
	sized := func(length string) []string { return post2("/p", "content-length", length) }
	hello := []string{"hello"}
	const hidden = ` "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`
	all := refused2("400", sized,
		"content-length without DATA", "5", "content-length +5", "+5", "content-length 0x5", "0x5", "content-length 5,5", "5,5", "content-length -5", "-5", "content-length empty", "",
		"content-length with a blank", " 5", "content-length 5.0", "5.0", "content-length 2^63", "9223372036854775808", "content-length 2^64+5", "18446744073709551621",
		"content-length of 20 digits", "00000000000000000005",
	)
	all = append(all, refused2(resetProtocol, sized,
		"content-length with CR LF", "5\r\nTransfer-Encoding: chunked", "content-length with NUL", "5\x00",
	)...)
	for _, a := range []attack{
		{name: "content-length twice, different", h2: post2("/p", "content-length", "5", "content-length", "6"), data: hello},
		{name: "content-length twice, the other one 0", h2: post2("/p", "content-length", "5", "content-length", "0"), data: hello},
		{name: "content-length of a GET without DATA", h2: get2("/g", "content-length", "43")},
		{name: "content-length 5 and trailers alone", h2: post2(cutOff, "content-length", "5"), more: []string{"x", "y"}},
	} {
		a.answer, a.open = "400", true
		all = append(all, a)
	}
	const resetOr400 = resetProtocol + " or 400"
	for _, a := range []attack{
		{name: "content-length that is none, with DATA", h2: sized("x"), data: hello, answer: resetOr400},
		{name: "content-length 5,5 with DATA", h2: sized("5,5"), data: hello, answer: resetOr400},
		{name: "DATA longer than content-length", h2: post2(cutOff, "content-length", "5"), data: []string{"hello" + smuggled}, answer: resetOr400},
		{name: "DATA longer, in frames", h2: post2(perhaps, "content-length", "5"), data: []string{"hello", smuggled}, answer: resetOr400 + " or 200",
			view: lateShows + `POST /maybe shop.test; Content-Length: 5 "hello"`},
		{name: "DATA shorter than content-length", h2: post2(cutOff, "content-length", "50"), data: hello, answer: "400"},
		{name: "DATA shorter, a request", h2: post2(cutOff, "content-length", "100"), data: []string{smuggled}, answer: "400"},
		{name: "DATA shorter, trailers behind", h2: post2(cutOff, "content-length", "50"), data: hello, more: []string{"x", "y"}, answer: "400"},
		{name: "content-length 0 with DATA", h2: post2(perhaps, "content-length", "0"), data: []string{smuggled}, answer: resetProtocol + " or 200",
			view: lateShows + "POST /maybe shop.test; Content-Length: 0"},
		{name: "content-length 0 of a GET with DATA", h2: get2(perhaps, "content-length", "0"), data: []string{smuggled}, answer: resetProtocol + " or 200",
			view: lateShows + "GET /maybe shop.test"},
		{name: "a body that is refused", h2: pseudo("POST", "https", "other.test", "/p"), data: []string{smuggled}, answer: "421"},
		{name: "answered before DATA that does not fit", h2: post2(hasty, "content-length", "5"), data: []string{"hello", smuggled}, answer: resetOr400 + " or 200",
			view: lateShows + "POST " + hasty + ` shop.test; Content-Length: 5 "hello"`},
	} {
		a.open = true
		all = append(all, a)
	}
	for _, a := range []attack{
		{name: "DATA as long as content-length", h2: sized("5"), data: hello, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "DATA in many frames, some empty", h2: sized("5"), data: []string{"h", "", "ell", "", "o", ""}, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "content-length twice, equal", h2: post2("/p", "content-length", "5", "content-length", "5"), data: hello, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "content-length 005", h2: sized("005"), data: hello, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "content-length 0, an empty frame", h2: sized("0"), data: []string{""}, view: "POST /p shop.test; Content-Length: 0"},
		{name: "content_length", h2: post2("/p", "content_length", "48", "content-length", "5"), data: hello, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "content_length alone", h2: post2("/p", "content_length", "0"), data: []string{smuggled}, view: "POST /p shop.test; Transfer-Encoding: chunked" + hidden},
		{name: "no content-length", h2: post2("/p"), data: []string{smuggled}, view: "POST /p shop.test; Transfer-Encoding: chunked" + hidden},
		{name: "no content-length, DATA in frames", h2: post2("/p"), data: []string{"hello", smuggled},
			view: `POST /p shop.test; Transfer-Encoding: chunked "helloGET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`},
		{name: "no content-length, no DATA", h2: post2("/p"), view: "POST /p shop.test; Content-Length: 0"},
		{name: "no content-length, an end of chunks", h2: post2("/p"), data: []string{"0\r\n\r\n" + smuggled},
			view: `POST /p shop.test; Transfer-Encoding: chunked "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`},
		{name: "GET with DATA", h2: get2("/g"), data: []string{smuggled}, view: "GET /g shop.test; Transfer-Encoding: chunked" + hidden},
		{name: "HEAD with DATA", h2: pseudo("HEAD", "https", shop, "/h"), data: []string{smuggled}, view: "HEAD /h shop.test; Transfer-Encoding: chunked" + hidden},
		{name: "HEAD with DATA and its length", h2: pseudo("HEAD", "https", shop, "/h", "content-length", "43"), data: []string{smuggled}, view: "HEAD /h shop.test; Content-Length: 43" + hidden},
	} {
		a.answer, a.open = "200", true
		all = append(all, a)
	}
	return all
}

// encodingAttacks2 have fields that HTTP/2 has none of (RFC 9113 section 8.2.2).
func encodingAttacks2() []attack {
	encoded := func(value string) []string { return post2("/p", "transfer-encoding", value) }
	named := func(name string) []string { return post2("/p", name, "chunked") }
	all := refused2("400", encoded,
		"transfer-encoding: chunked, no DATA", "chunked", "transfer-encoding: empty", "", "transfer-encoding: xchunked", "xchunked", "transfer-encoding: gzip, chunked", "gzip, chunked",
	)
	all = append(all, refused2(resetProtocol, encoded, "transfer-encoding with a vertical tab", "\vchunked", "transfer-encoding with CR LF", "chunked\r\nX: y")...)
	all = append(all, refused2(resetProtocol, named,
		"Transfer-Encoding in upper case", "Transfer-Encoding", "transfer-encoding and a blank", "transfer-encoding ", "transfer-encoding and a colon", "transfer-encoding:",
		"a blank and transfer-encoding", " transfer-encoding", "transfer-encoding and NUL", "transfer-encoding\x00", "transfer-encoding and a tab", "transfer-encoding\t",
		"transfer-encoding and LF", "transfer-encoding\n", "transfer-encoding in a name", "x: y\r\ntransfer-encoding",
	)...)
	for _, a := range []attack{
		{name: "transfer-encoding: chunked (H2.TE)", h2: encoded("chunked"), data: []string{"0\r\n\r\n" + smuggled}},
		{name: "transfer-encoding: chunked and a length", h2: post2("/p", "transfer-encoding", "chunked", "content-length", "48"), data: []string{"0\r\n\r\n" + smuggled}},
		{name: "transfer-encoding: identity", h2: encoded("identity"), data: []string{"hello"}},
		{name: "transfer-encoding named in connection", h2: post2("/p", "connection", "transfer-encoding", "transfer-encoding", "chunked"), data: []string{"0\r\n\r\n"}},
		{name: "connection: close", h2: get2("/g", "connection", "close")},
		{name: "connection: x-forwarded-for", h2: get2("/g", "connection", "x-forwarded-for", "x-forwarded-for", "66.249.66.1")},
		{name: "connection: empty", h2: get2("/g", "connection", "")},
		{name: "keep-alive", h2: get2("/g", "keep-alive", "5")},
		{name: "proxy-connection", h2: get2("/g", "proxy-connection", "keep-alive")},
		{name: "upgrade: h2c", h2: get2("/g", "connection", "upgrade", "upgrade", "h2c")},
		{name: "upgrade: websocket", h2: get2("/g", "upgrade", "websocket")},
		{name: "te: gzip", h2: get2("/g", "te", "gzip")},
		{name: "te: trailers, chunked", h2: get2("/g", "te", "trailers, chunked")},
		{name: "te twice", h2: get2("/g", "te", "trailers", "te", "trailers")},
	} {
		a.answer, a.open = "400", true
		all = append(all, a)
	}
	return append(all,
		attack{name: "transfer_encoding: chunked", h2: named("transfer_encoding"), data: []string{"0\r\n\r\n" + smuggled}, answer: "200", open: true,
			view: `POST /p shop.test; Transfer-Encoding: chunked "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`},
		attack{name: "te: trailers", h2: get2("/g", "te", "trailers"), answer: "200", open: true, view: "GET /g shop.test; TE: trailers"},
		attack{name: "http2-settings", h2: get2("/g", "http2-settings", "AA"), answer: "200", open: true, view: "GET /g shop.test"},
		attack{name: "proxy-authorization", h2: get2("/g", "proxy-authorization", "x"), answer: "200", open: true, view: "GET /g shop.test"},
	)
}

// clientAttacks2 say what the gateway alone may say.
func clientAttacks2() []attack {
	of := func(more ...string) []string { return get2("/g", more...) }
	all := []attack{
		{name: "x-forwarded-for and kin", h2: of("x-forwarded-for", "66.249.66.1", "forwarded", "for=66.249.66.1", "x-real-ip", "66.249.66.1"), view: "GET /g shop.test"},
		{name: "x-forwarded-host, -proto, -port", h2: of("x-forwarded-host", "evil.test", "x-forwarded-proto", "http", "x-forwarded-port", "1"), view: "GET /g shop.test"},
		{name: "x-forwarded-for twice", h2: of("x-forwarded-for", "6", "x-forwarded-for", "6"), view: "GET /g shop.test"},
		{name: "x_forwarded_for, x_real_ip", h2: of("x_forwarded_for", "66.249.66.1", "x_real_ip", "66.249.66.1"), view: "GET /g shop.test"},
		{name: "x-forwarded_for", h2: of("x-forwarded_for", "66.249.66.1"), view: "GET /g shop.test"},
		{name: "underscore in a name", h2: of("x_y", "z"), view: "GET /g shop.test; X_y: z"},
		{name: "cookies in pieces", h2: of("cookie", "a=b", "cookie", "c=d"), view: "GET /g shop.test; Cookie: a=b; c=d"},
		// HTTP/2 needs no expectation met to know where a body ends: the engine answers 100-continue itself, and the
		// rest is the origin's.
		{name: "expect: x", h2: of("expect", "x"), view: "GET /g shop.test; Expect: x"},
		{name: "expect: 100-continue without DATA", h2: of("expect", "100-continue"), view: "GET /g shop.test"},
	}
	for i := range all {
		all[i].answer, all[i].open = "200", true
	}
	return append(all, attack{name: "expect: 100-continue, DATA at once", h2: post2("/p", "expect", "100-continue", "content-length", "43"), data: []string{smuggled}, open: true,
		answer: "200", view: `POST /p shop.test; Content-Length: 43 "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`})
}

// trailerAttacks2 are about what comes behind a body.
func trailerAttacks2() []attack {
	hello := []string{"hello"}
	var all []attack
	dropped := func(name string, more ...string) {
		all = append(all, attack{name: name, h2: post2("/p", "trailer", more[0]), data: hello, more: more, answer: "200", open: true, view: wholeChunked})
	}
	bad := func(name string, more ...string) {
		all = append(all, attack{name: name, h2: post2(cutOff, "trailer", "x-sum"), data: hello, more: more, answer: resetProtocol + " or 400", open: true})
	}
	dropped("trailer content-length", "content-length", "50")
	dropped("trailer transfer-encoding", "transfer-encoding", "chunked")
	dropped("trailer x-forwarded-for", "x-forwarded-for", "66.249.66.1")
	dropped("trailer x_forwarded_for", "x_forwarded_for", "66.249.66.1")
	dropped("trailer x-forwarded-host", "x-forwarded-host", "evil.test")
	dropped("trailer upgrade", "upgrade", "h2c")
	dropped("trailer content_length", "content_length", "50")
	dropped("trailer transfer_encoding", "transfer_encoding", "chunked")
	bad("trailer with CR LF", "x-sum", "1\r\nX: y")
	bad("trailer with LF and a request", "x-sum", "1\n\n"+smuggled)
	bad("trailer with NUL", "x-sum", "1\x00")
	bad("trailer with a colon in its name", "x-sum: 1\r\nx", "y")
	bad("trailer in upper case", "X-Sum", "1")
	bad("trailer with a pseudo-header", ":path", "/evil")
	bad("trailer content-length, another one announced", "content-length", "0")
	bad("trailer host, another one announced", "host", "evil.test")
	return append(all,
		attack{name: "trailer announced", h2: post2("/p", "trailer", "x-sum"), data: hello, more: []string{"x-sum", "1"}, answer: "200", open: true,
			view: `POST /p shop.test; Trailer: X-Sum; Transfer-Encoding: chunked; trailer X-Sum: 1 "hello"`},
		attack{name: "trailer not announced", h2: post2("/p"), data: hello, more: []string{"x-sum", "1"}, answer: "200", open: true, view: wholeChunked},
		attack{name: "trailer that is a pseudo-header, none announced", h2: post2(cutOff), data: hello, more: []string{":path", "/evil"}, answer: resetProtocol + " or 400", open: true},
		attack{name: "trailer announced with CR LF", h2: post2("/p", "trailer", "x\r\nX: y"), answer: resetProtocol, open: true},
		attack{name: "trailer announced with CR LF, DATA behind", h2: post2("/p", "trailer", "x\r\nX: y"), data: hello, answer: "gone PROTOCOL_ERROR"},
	)
}

// oversizeAttacks2 are larger than anybody needs. A text longer than all may be together ends the connection.
func oversizeAttacks2() []attack {
	long := strings.Repeat("x", 40<<10)
	const gone = "gone COMPRESSION_ERROR"
	return append([]attack{
		{name: ":path of 40 KiB", h2: get2("/" + long), answer: gone},
		{name: "header of 40 KiB", h2: get2("/g", "x", long), answer: gone},
		{name: "name of 40 KiB", h2: get2("/g", long, "y"), answer: gone},
		{name: "two headers of 20 KiB", h2: get2("/g", "x", long[:20<<10], "y", long[:20<<10]), answer: "431", open: true},
		{name: "129 fields", h2: get2("/g", strings.Fields(strings.Repeat("x y ", 129))...), answer: "431", open: true},
		{name: "trailers of 64 KiB", h2: post2(cutOff, "trailer", "x"), data: []string{"hello"}, more: strings.Fields(strings.Repeat("x "+long[:8<<10]+" ", 8)),
			answer: "gone PROTOCOL_ERROR or reset PROTOCOL_ERROR or 400"},
	}, passing2(func(more string) []string { return get2(more) },
		":path of 16 KiB", "/"+long[:16<<10], "GET /x{16384} shop.test",
	)...)
}
