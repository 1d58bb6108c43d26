//go:build peers

package peers

import "strings"

// smuggled is what attacks hide in bodies. The origin must never see it as a request.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"

// post is the head of a POST with further lines, and what follows it.
func post(lines, rest string) string {
	return "POST /p HTTP/1.1\r\nHost: shop.test\r\n" + lines + "\r\n" + rest
}

// get is a GET with further lines.
func get(lines string) string { return "GET /g HTTP/1.1\r\nHost: shop.test\r\n" + lines + "\r\n" }

// attacks1 are those over HTTP/1.
func attacks1() []attack {
	return append(append(lengthAttacks(), chunkAttacks()...), headAttacks()...)
}

// lengthAttacks are about where a body ends.
func lengthAttacks() []attack {
	const chunked = "5\r\nhello\r\n0\r\n\r\n"
	encoded := func(line string) string { return post(line+"\r\n", chunked) }
	return []attack{
		// Both: Transfer-Encoding counts (RFC 9112 section 6.3). net/http deletes the length before anybody sees it, so the connection
		// stays open, which section 6.1 would not have.
		{name: "CL.TE", send: post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"),
			answer: "200", open: true, view: "POST /p shop.test; Transfer-Encoding: chunked"},
		{name: "CL.TE, a whole request smuggled", send: post("Content-Length: 48\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled),
			answer: "200 200", open: true, view: "POST /p shop.test; Transfer-Encoding: chunked | GET /smuggled shop.test"},
		{name: "TE.CL", send: post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "2b\r\n"+smuggled+"\r\n0\r\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`},
		{name: "TE.CL, Content-Length 0", send: post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", chunked),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "TE.TE: chunked, then x", send: encoded("Transfer-Encoding: chunked\r\nTransfer-Encoding: x"), answer: "501"},
		{name: "TE.TE: x, then chunked", send: encoded("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"), answer: "501"},
		{name: "TE.TE: chunked twice", send: encoded("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), answer: "501"},
		{name: "TE: xchunked", send: encoded("Transfer-Encoding: xchunked"), answer: "501"},
		{name: "TE: chunkedx", send: encoded("Transfer-Encoding: chunkedx"), answer: "501"},
		{name: "TE: chunked, identity", send: encoded("Transfer-Encoding: chunked, identity"), answer: "501"},
		{name: "TE: identity, chunked", send: encoded("Transfer-Encoding: identity, chunked"), answer: "501"},
		{name: "TE: identity with a length", send: post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello"), answer: "501"},
		{name: "TE: gzip, chunked", send: encoded("Transfer-Encoding: gzip, chunked"), answer: "501"},
		{name: "TE: chunked;q=1", send: encoded("Transfer-Encoding: chunked;q=1"), answer: "501"},
		{name: `TE: "chunked" in quotes`, send: encoded(`Transfer-Encoding: "chunked"`), answer: "501"},
		{name: "TE: empty", send: post("Transfer-Encoding:\r\nContent-Length: 5\r\n", "hello"), answer: "501"},
		{name: "TE: CHUNKED", send: encoded("Transfer-Encoding: CHUNKED"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "TE: two blanks before chunked", send: encoded("Transfer-Encoding:  chunked"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "TE: tab before chunked", send: encoded("Transfer-Encoding:\tchunked"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "TE: vertical tab before chunked", send: encoded("Transfer-Encoding:\vchunked"), answer: "400"},
		{name: "TE: form feed before chunked", send: encoded("Transfer-Encoding: \fchunked"), answer: "400"},
		{name: "TE: NUL behind chunked", send: encoded("Transfer-Encoding: chunked\x00"), answer: "400"},
		{name: "TE: no-break space before chunked", send: encoded("Transfer-Encoding: \u00a0chunked"), answer: "501"},
		{name: "TE: folded", send: encoded("Transfer-Encoding:\r\n chunked"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "TE: folded behind another field", send: encoded("X: y\r\n Transfer-Encoding: chunked"),
			answer: "200 400", view: "POST /p shop.test; X: y Transfer-Encoding: chunked; Content-Length: 0"},
		{name: "TE: space before the colon", send: encoded("Transfer-Encoding : chunked"), answer: "400"},
		{name: "TE: space before the name", send: encoded(" Transfer-Encoding: chunked"), answer: "400"},
		{name: "TE: behind a bare CR", send: encoded("X: y\rTransfer-Encoding: chunked"), answer: "400"},
		{name: "TE: underscore, with a length", send: post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
			answer: "200", open: true, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		// HTTP/1.0 knows no Transfer-Encoding; net/http takes the body for the next request, which is none.
		{name: "TE over HTTP/1.0", send: "POST /p HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
			answer: "200", view: "POST /p shop.test; Content-Length: 0"},
		{name: "TE over HTTP/1.0, kept alive", send: "POST /p HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
			answer: "200 400", view: "POST /p shop.test; Content-Length: 0"},
		{name: "CL twice, equal", send: post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
			answer: "200", open: true, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "CL twice, different", send: post("Content-Length: 5\r\nContent-Length: 48\r\n", "hello"+smuggled), answer: "400"},
		{name: "CL: 5, 5", send: post("Content-Length: 5, 5\r\n", "hello"), answer: "400"},
		{name: "CL: 5,6", send: post("Content-Length: 5,6\r\n", "hello!"), answer: "400"},
		{name: "CL: +5", send: post("Content-Length: +5\r\n", "hello"), answer: "400"},
		{name: "CL: -5", send: post("Content-Length: -5\r\n", "hello"), answer: "400"},
		{name: "CL: 0x5", send: post("Content-Length: 0x5\r\n", "hello"), answer: "400"},
		{name: "CL: 5.0", send: post("Content-Length: 5.0\r\n", "hello"), answer: "400"},
		{name: "CL: 5 behind a blank", send: post("Content-Length: 5 \r\n", "hello"),
			answer: "200", open: true, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "CL: 05", send: post("Content-Length: 05\r\n", "hello"), answer: "200", open: true, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "CL: 1_0", send: post("Content-Length: 1_0\r\n", "hello"), answer: "400"},
		{name: "CL: empty", send: post("Content-Length:\r\n", ""), answer: "400"},
		{name: "CL: 2^64+5", send: post("Content-Length: 18446744073709551621\r\n", "hello"), answer: "400"},
		{name: "CL: 2^63", send: post("Content-Length: 9223372036854775808\r\n", "hello"), answer: "400"},
		{name: "CL: vertical tab before 5", send: post("Content-Length: \v5\r\n", "hello"), answer: "400"},
		{name: "CL: underscore", send: post("Content_Length: 48\r\nContent-Length: 5\r\n", "hello"),
			answer: "200", open: true, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "CL: too long, the client ends", ends: true, send: "POST /cut HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000\r\n\r\nhello",
			answer: "400"},
		{name: "GET with a body", send: get("Content-Length: 43\r\n") + smuggled,
			answer: "200", open: true, view: `GET /g shop.test; Content-Length: 43 "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`},
		{name: "GET with a chunked body", send: get("Transfer-Encoding: chunked\r\n") + chunked,
			answer: "200", open: true, view: `GET /g shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "HEAD with a body", send: "HEAD /h HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 43\r\n\r\n" + smuggled,
			answer: "200", open: true, view: `HEAD /h shop.test; Content-Length: 43 "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`},
		{name: "a request in the body of a refused one", send: "POST /p HTTP/1.1\r\nHost: other.test\r\nContent-Length: 43\r\n\r\n" + smuggled,
			answer: "404", open: true},
		{name: "a request behind one with a bad header", send: post("A B: c\r\nContent-Length: 43\r\n", smuggled), answer: "400"},
		{name: "Expect: 100-continue", send: post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
			answer: "200", open: true, view: `POST /p shop.test; Expect: 100-continue; Content-Length: 5 "hello"`},
		{name: "Expect: something else", send: post("Expect: x\r\nContent-Length: 5\r\n", "hello"), answer: "417"},
	}
}

// chunkAttacks are about how chunks are written.
func chunkAttacks() []attack {
	chunks := func(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }
	broken := func(body string) string {
		return "POST /cut HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body
	}
	return []attack{
		{name: "chunks: as they should be", send: chunks("5\r\nhello\r\n0\r\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "chunks: size beyond 64 bits", send: broken("10000000000000005\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: size of 64 bits", send: broken("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: leading zeros", send: chunks("0005\r\nhello\r\n0\r\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "chunks: many leading zeros", send: broken(strings.Repeat("0", 40) + "5\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: 0x5", send: broken("0x5\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: +5", send: broken("+5\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: -5", send: broken("-5\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: blank before the size", send: broken(" 5\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: blank behind the size", send: chunks("5 \r\nhello\r\n0\r\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "chunks: no size", send: broken("\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: garbage", send: broken("hello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: extension", send: chunks("5;a=b\r\nhello\r\n0\r\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "chunks: extension with LF", send: broken("5;a\nb\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: extension with CR", send: broken("5;a\rb\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: extension with a quoted end", send: chunks("5;a=\"\r\nhello\r\n0\r\n\r\n\""),
			answer: "200 400", view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "chunks: extension of 20 KiB", send: broken("5;" + strings.Repeat("a", 20<<10) + "\r\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: size ends in LF", send: broken("5\nhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: size ends in CR", send: broken("5\rhello\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: data ends in LF", send: broken("5\r\nhello\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: more data than the size", send: broken("5\r\nhello!\r\n0\r\n\r\n"), answer: "400"},
		{name: "chunks: last ends in LF", send: broken("5\r\nhello\r\n0\n\r\n"), answer: "400"},
		{name: "chunks: the end is LF", send: chunks("5\r\nhello\r\n0\r\n\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "chunks: last one is 00", send: chunks("5\r\nhello\r\n00\r\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "chunks: no last one, the client ends", ends: true, send: "POST /cut HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nhello",
			answer: "400"},
		{name: "chunks: trailer", send: post("Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Trailer: X-Sum; Transfer-Encoding: chunked; trailer X-Sum: 1 "hello"`},
		{name: "chunks: trailer not announced", send: chunks("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked; trailer X-Sum: 1 "hello"`},
		{name: "chunks: trailer Content-Length", send: broken("5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"),
			answer: "200", open: true, view: `POST /cut shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "chunks: trailer X-Forwarded-For", send: post("Trailer: X-Forwarded-For, X_Real_IP\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-Forwarded-For: 6\r\nX_Real_IP: 6\r\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked "hello"`},
		{name: "chunks: trailer that ends in LF", send: chunks("5\r\nhello\r\n0\r\nX-Sum: 1\n\r\n"),
			answer: "200", open: true, view: `POST /p shop.test; Transfer-Encoding: chunked; trailer X-Sum: 1 "hello"`},
		{name: "chunks: trailer without a colon", send: broken("5\r\nhello\r\n0\r\n" + strings.TrimSuffix(smuggled, "\r\n")), answer: "400"},
	}
}
