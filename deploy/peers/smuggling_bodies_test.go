//go:build peers

package peers

import "strings"

// ignoredAttacks have bodies that somebody does not look for, and lengths that somebody does not see.
func ignoredAttacks() []attack {
	const hidden = ` "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`
	of := func(method, lines, body string) string {
		return method + " /m HTTP/1.1\r\nHost: shop.test\r\n" + lines + "\r\n" + body
	}
	sized := func(method string) string { return of(method, "Content-Length: 43\r\n", smuggled) }
	chunked := func(method string) string {
		return of(method, "Transfer-Encoding: chunked\r\n", "2b\r\n"+smuggled+"\r\n0\r\n\r\n")
	}
	all := passing1(sized,
		"CL.0: a POST's body is a request", "POST", "POST /m shop.test; Content-Length: 43"+hidden,
		"CL.0: a GET's", "GET", "GET /m shop.test; Content-Length: 43"+hidden,
		"CL.0: a HEAD's", "HEAD", "HEAD /m shop.test; Content-Length: 43"+hidden,
		"CL.0: a DELETE's", "DELETE", "DELETE /m shop.test; Content-Length: 43"+hidden,
		"CL.0: an OPTIONS'", "OPTIONS", "OPTIONS /m shop.test; Content-Length: 43"+hidden,
	)
	all = append(all, passing1(chunked,
		"TE.0: a GET's body is a request", "GET", "GET /m shop.test; Transfer-Encoding: chunked"+hidden,
		"TE.0: a HEAD's", "HEAD", "HEAD /m shop.test; Transfer-Encoding: chunked"+hidden,
		"TE.0: an OPTIONS'", "OPTIONS", "OPTIONS /m shop.test; Transfer-Encoding: chunked"+hidden,
	)...)
	// What is no length leaves a request without a body, and what is behind has to be a request.
	for _, a := range []attack{
		{name: "0.CL: Content_Length of a GET", send: of("GET", "Content_Length: 7\r\n", "hello\r\n"), view: "GET /m shop.test"},
		{name: "0.CL: Content_Length of a POST", send: of("POST", "Content_Length: 7\r\n", "hello\r\n"), view: "POST /m shop.test; Content-Length: 0"},
		{name: "0.CL: Transfer_Encoding of a POST", send: of("POST", "Transfer_Encoding: chunked\r\n", fiveChunked), view: "POST /m shop.test; Content-Length: 0"},
		{name: "0.CL: no length at all", send: of("POST", "", "hello\r\n"), view: "POST /m shop.test; Content-Length: 0"},
		{name: "0.CL: TE, the field, says chunked", send: of("POST", "TE: chunked\r\n", fiveChunked), view: "POST /m shop.test; Content-Length: 0"},
	} {
		a.answer = "200 400"
		all = append(all, a)
	}
	all = append(all, passing1(as,
		"CL.0: Content-Length 0", of("POST", "Content-Length: 0\r\n", ""), "POST /m shop.test; Content-Length: 0",
		"CL.0: no length, no body", of("POST", "", ""), "POST /m shop.test; Content-Length: 0",
	)...)
	// The origin answers, and has not seen the body: neither connection may go on with what is left of it.
	early := "POST " + hasty + " HTTP/1.1\r\nHost: shop.test\r\n"
	return append(all,
		attack{name: "0.CL: answered before the body, which comes", send: early + "Content-Length: 43\r\n\r\n" + smuggled, answer: "200", either: true,
			view: lateShows + "POST " + hasty + " shop.test; Content-Length: 43" + hidden},
		attack{name: "0.CL: answered before the body, which does not come", send: early + "Content-Length: 1000\r\n\r\n", answer: "200"},
		attack{name: "0.CL: answered before chunks, which do not come", send: early + "Transfer-Encoding: chunked\r\n\r\n400\r\n", answer: "200"},
		attack{name: "0.CL: answered before chunks that are none", send: early + "Transfer-Encoding: chunked\r\n\r\nhello\r\n" + smuggled, answer: "200 or 400"},
	)
}

// chunkedPost is a POST in chunks; brokenPost one whose body is none, which the origin must not see the end of.
func chunkedPost(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }
func brokenPost(body string) string {
	return "POST /cut HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body
}

const wholeChunked = `POST /p shop.test; Transfer-Encoding: chunked "hello"`

// chunkAttacks are about sizes and extensions.
func chunkAttacks() []attack {
	const rest = "\r\nhello\r\n0\r\n\r\n"
	sized := func(line string) string { return brokenPost(line + rest) }
	all := refused1("400", sized,
		"size: 2^64+5", "10000000000000005", "size: 2^64-1", "ffffffffffffffff", "size: 2^63+5", "8000000000000005", "size: 2^32+5 in 16 digits", "0000000100000005",
		"size: 40 zeros", strings.Repeat("0", 40)+"5", "size: 16 digits", "0000000000000005", "size: 0x5", "0x5", "size: 0X5", "0X5", "size: +5", "+5", "size: -5", "-5",
		"size: -1", "-1", "size: 5_", "5_", "size: 5.0", "5.0", "size: 5h", "5h", "size: 5, 5", "5, 5", "size: in quotes", `"5"`, "size: blank before", " 5", "size: tab before", "\t5",
		"size: vertical tab before", "\v5", "size: NUL behind", "5\x00", "size: vertical tab behind", "5\v", "size: no-break space behind", "5\xa0", "size: blank inside", "0 5",
		"size: a word behind", "5 hello", "size: a word", "hello", "size: none", "", "size: a blank alone", " ", "size: an extension alone", ";a", "size: full-width digit", "\uff15",
		"size: blank behind", "5 ", // no grammar has it without an extension
		"extension: NUL", "5;a\x00b", "extension: vertical tab", "5;a\vb", "extension: DEL", "5;a\x7f", "extension: ESC", "5;\x1b[1m",
		"size: many lines", "5\r\n",
	)
	all = append(all, passing1(func(line string) string { return chunkedPost(line + rest) },
		"size: 5", "5", wholeChunked,
		"size: leading zeros", "0005", wholeChunked,
		"size: 15 digits", "000000000000005", wholeChunked,
		"extension: a=b", "5;a=b", wholeChunked,
		"extension: blanks around", "5 ; a = b", wholeChunked,
		"extension: a quoted chunk", `5;a="0;b"`, wholeChunked,
		"extension: empty", "5;", wholeChunked,
		"extension: looks like a size", "5;0", wholeChunked,
		"extension: of 256 bytes", "5;"+strings.Repeat("a", 256), wholeChunked,
	)...)
	all = append(all, passing1(chunkedPost,
		"last chunk: 00", "5\r\nhello\r\n00\r\n\r\n", wholeChunked,
		"last chunk: with an extension", "5\r\nhello\r\n0;a=b\r\n\r\n", wholeChunked,
		"size: in upper and lower case", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", `POST /p shop.test; Transfer-Encoding: chunked "01234567890123456789"`,
		"body: a request in a chunk", "2b\r\n"+smuggled+"\r\n0\r\n\r\n", `POST /p shop.test; Transfer-Encoding: chunked "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`,
		"body: an end in a chunk", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", `POST /p shop.test; Transfer-Encoding: chunked "0\r\n\r\n"`,
		"body: no chunk but the last", "0\r\n\r\n", "POST /p shop.test; Transfer-Encoding: chunked",
	)...)
	return append(all,
		attack{name: "extension: a quoted end", send: chunkedPost("5;a=\"\r\nhello\r\n0\r\n\r\n\""), answer: "200 400", view: wholeChunked},
		attack{name: "body: no last chunk, the client ends", ends: true, send: brokenPost("400\r\nhello"), answer: "400"},
		attack{name: "body: the client ends in a size", ends: true, send: brokenPost("5\r\nhello\r\n0"), answer: "400"},
		attack{name: "body: the client ends before the last line", ends: true, send: brokenPost("5\r\nhello\r\n0\r\n"), answer: "400"},
	)
}

// chunkEndAttacks end lines and chunks so that some see an end and others none.
func chunkEndAttacks() []attack {
	return refused1("400", brokenPost,
		"size ends in LF", "5\nhello\r\n0\r\n\r\n",
		"size ends in CR", "5\rhello\r\n0\r\n\r\n",
		"size ends in CR CR LF", "5\r\r\nhello\r\n0\r\n\r\n",
		"size ends in LF CR", "5\n\rhello\r\n0\r\n\r\n",
		"TERM.EXT: LF in an extension", "5;\nhello\r\n0\r\n\r\n",
		"EXT.TERM: LF in an extension, a chunk behind", "2;\nxx\r\n2b\r\n0\r\n\r\n"+smuggled,
		"TERM.EXT: LF behind a name", "5;a\nb\r\nhello\r\n0\r\n\r\n",
		"TERM.EXT: LF in quotes", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
		"TERM.EXT: CR in an extension", "5;\rhello\r\n0\r\n\r\n",
		"EXT.TERM: CR in an extension, a chunk behind", "2;\rxx\r\n2b\r\n0\r\n\r\n"+smuggled,
		"TERM.EXT: CR behind a name", "5;a\rb\r\nhello\r\n0\r\n\r\n",
		"TERM.EXT: CR before CR LF", "5;a\r\r\nhello\r\n0\r\n\r\n",
		"TERM.EXT: LF in the last chunk's extension", "5\r\nhello\r\n0;\n\r\n\r\n",
		"TERM.EXT: CR in the last chunk's extension", "5\r\nhello\r\n0;\r\r\n\r\n",
		"data ends in LF", "5\r\nhello\n0\r\n\r\n",
		"data ends in CR", "5\r\nhello\r0\r\n\r\n",
		"data ends in CR CR LF", "5\r\nhello\r\r\n0\r\n\r\n",
		"data ends in LF LF", "5\r\nhello\n\n0\r\n\r\n",
		"data has no end", "5\r\nhello0\r\n\r\n",
		"TERM.SPILL: two bytes for an end", "5\r\nhelloXX0\r\n\r\n",
		"SPILL.TERM: two bytes and an end", "5\r\nhelloXX\r\n0\r\n\r\n",
		"SPILL: one byte and an end", "5\r\nhello!\r\n0\r\n\r\n",
		"SPILL: less data than the size", "7\r\nhello\r\n0\r\n\r\n",
		"last chunk ends in LF", "5\r\nhello\r\n0\n\r\n",
		"last chunk ends in CR", "5\r\nhello\r\n0\r\r\n",
		"last line is LF", "5\r\nhello\r\n0\r\n\n",
		"last line is CR", "5\r\nhello\r\n0\r\n\r",
		"last line is CR CR LF", "5\r\nhello\r\n0\r\n\r\r\n",
	)
}

// trailerAttacks are about what comes behind a body.
func trailerAttacks() []attack {
	behind := func(lines string) string { return "5\r\nhello\r\n0\r\n" + lines + "\r\n" }
	all := refused1("400", func(lines string) string { return brokenPost(behind(lines)) },
		"trailer ends in LF", "X-Sum: 1\n",
		"trailer without a colon", strings.TrimSuffix(smuggled, "\r\n"),
		"trailer with a blank in its name", "X Sum: 1\r\n",
		"trailer with a space before the colon", "X-Sum : 1\r\n",
		"trailer with an empty name", ": 1\r\n",
		"trailer folded", "X-Sum: 1\r\n 2\r\n",
		"trailer that begins with a fold", " X-Sum: 1\r\n",
		"trailer with NUL", "X-Sum: 1\x00\r\n",
		"trailer with CR", "X-Sum: 1\rX: y\r\n",
		"trailer with a vertical tab", "X-Sum: \v1\r\n",
		"trailer with a byte beyond ASCII in its name", "X-S\xfcm: 1\r\n",
	)
	// RFC 9110 section 6.5.1 lets a recipient drop what it does not know to be safe.
	all = append(all, passing1(func(lines string) string { return chunkedPost(behind(lines)) },
		"trailer not announced", "X-Sum: 1\r\n", `POST /p shop.test; Transfer-Encoding: chunked; trailer X-Sum: 1 "hello"`,
		"trailer Content-Length", "Content-Length: 9\r\n", wholeChunked,
		"trailer Content_Length", "Content_Length: 9\r\n", wholeChunked,
		"trailer Transfer-Encoding", "Transfer-Encoding: chunked\r\n", wholeChunked,
		"trailer Host", "Host: evil.test\r\n", wholeChunked,
		"trailer Connection", "Connection: close\r\n", wholeChunked,
		"trailer Upgrade", "Upgrade: websocket\r\n", wholeChunked,
		"trailer Expect", "Expect: 100-continue\r\n", wholeChunked,
		"trailer Trailer", "Trailer: X-Forwarded-For\r\n", wholeChunked,
		"trailer X-Forwarded-For", "X-Forwarded-For: 66.249.66.1\r\n", wholeChunked,
		"trailer X_Forwarded_Host", "X_Forwarded_Host: evil.test\r\n", wholeChunked,
	)...)
	announced := func(name, lines string) string {
		return post("Trailer: "+name+"\r\nTransfer-Encoding: chunked\r\n", behind(lines))
	}
	return append(all, passing1(as,
		"trailer announced", announced("X-Sum", "X-Sum: 1\r\n"), `POST /p shop.test; Trailer: X-Sum; Transfer-Encoding: chunked; trailer X-Sum: 1 "hello"`,
		"trailer announced that says nothing", announced("X-Sum", ""), `POST /p shop.test; Trailer: X-Sum; Transfer-Encoding: chunked "hello"`,
		"trailer Content-Length, announced", announced("Content-Length", "Content-Length: 9\r\n"), wholeChunked,
		"trailer Transfer-Encoding, announced", announced("Transfer-Encoding", "Transfer-Encoding: x\r\n"), wholeChunked,
		"trailer X-Forwarded-For, announced", announced("X-Forwarded-For, X_Real_IP", "X-Forwarded-For: 6\r\nX_Real_IP: 6\r\n"), wholeChunked,
		"trailer announced beside a length", post("Trailer: X-Sum\r\nContent-Length: 5\r\n", "hello"), `POST /p shop.test; Content-Length: 5 "hello"`,
	)...)
}
