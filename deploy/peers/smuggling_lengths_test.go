//go:build peers

package peers

// smuggled is what attacks hide in bodies. The origin must never see it as a request. It is 43 bytes long.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"

// fiveChunked is a body.
const fiveChunked = "5\r\nhello\r\n0\r\n\r\n"

// post is the head of a POST with further lines, and what follows it.
func post(lines, rest string) string {
	return "POST /p HTTP/1.1\r\nHost: shop.test\r\n" + lines + "\r\n" + rest
}

// get is a GET with further lines.
func get(lines string) string { return "GET /g HTTP/1.1\r\nHost: shop.test\r\n" + lines + "\r\n" }

// refused1 are attacks with the same answer, after which the connection is closed and the origin has heard nothing:
// names and what is sent, in pairs.
func refused1(answer string, form func(string) string, pairs ...string) (all []attack) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, attack{name: pairs[i], send: form(pairs[i+1]), answer: answer})
	}
	return all
}

// passing1 are attacks that are answered with 200 and leave the connection open: names, what is sent and what the
// origin sees.
func passing1(form func(string) string, triples ...string) (all []attack) {
	for i := 0; i < len(triples); i += 3 {
		all = append(all, attack{name: triples[i], send: form(triples[i+1]), answer: "200", open: true, view: triples[i+2]})
	}
	return all
}

func as(s string) string { return s }

// families1 are the attacks over HTTP/1.
func families1() []family {
	return []family{
		{"CL.TE and TE.CL", bothAttacks()},
		{"TE.TE", encodingAttacks()},
		{"Content-Length", lengthAttacks()},
		{"CL.0, 0.CL and TE.0", ignoredAttacks()},
		{"chunks", chunkAttacks()},
		{"ends of chunk lines (TERM.EXT and kin)", chunkEndAttacks()},
		{"trailers", trailerAttacks()},
		{"Expect", expectAttacks()},
		{"HTTP/1.0", oldAttacks()},
		{"pipelines and refused requests", pipelineAttacks()},
		{"Host", hostAttacks()},
		{"absolute form", absoluteAttacks()},
		{"request line", lineAttacks()},
		{"CONNECT, TRACE and Upgrade", methodAttacks()},
		{"Connection and fields about the client", connectionAttacks()},
		{"underscores", underscoreAttacks()},
		{"field syntax", fieldAttacks()},
		{"oversize", oversizeAttacks()},
	}
}

// bothAttacks have a length and an encoding. RFC 9112 section 6.1 would let Transfer-Encoding count and the connection
// end; who sends both is no honest client, so that the request is refused.
func bothAttacks() []attack {
	all := refused1("400", as,
		"CL.TE", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"),
		"CL.TE, a whole request smuggled", post("Content-Length: 48\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled),
		"CL.TE, both agree on where it ends", post("Content-Length: 15\r\nTransfer-Encoding: chunked\r\n", fiveChunked),
		"TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "2b\r\n"+smuggled+"\r\n0\r\n\r\n"),
		"TE.CL, Content-Length 0", post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", fiveChunked),
		"CL.TE of a GET", get("Content-Length: 48\r\nTransfer-Encoding: chunked\r\n")+"0\r\n\r\n"+smuggled,
		"CL.TE over HTTP/1.0", "POST /p HTTP/1.0\r\nHost: shop.test\r\nContent-Length: 48\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+smuggled,
		"CL.TE, the length named in Connection", post("Connection: Content-Length\r\nContent-Length: 48\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled),
		"TE.CL, the encoding named in Connection", post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n", fiveChunked),
		"CL with TE: identity", post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello"),
		"CL with TE: xchunked", post("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", "hello"),
		"CL with an empty TE", post("Transfer-Encoding:\r\nContent-Length: 5\r\n", "hello"),
		"CL with TE behind a space before the colon", post("Transfer-Encoding : chunked\r\nContent-Length: 48\r\n", "0\r\n\r\n"+smuggled),
		"CL with a folded TE", post("Content-Length: 48\r\nTransfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+smuggled),
		"TE with a CL that is none", post("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", fiveChunked),
		"TE with an empty CL", post("Transfer-Encoding: chunked\r\nContent-Length:\r\n", fiveChunked),
	)
	return append(all, passing1(as,
		"CL with Transfer_Encoding", post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"), `POST /p shop.test; Content-Length: 5 "hello"`,
		"TE with Content_Length", post("Transfer-Encoding: chunked\r\nContent_Length: 48\r\n", fiveChunked), `POST /p shop.test; Transfer-Encoding: chunked "hello"`,
	)...)
}

// encodingAttacks say chunked so that some hear it and others do not.
func encodingAttacks() []attack {
	encoded := func(line string) string { return post(line+"\r\n", fiveChunked) }
	value := func(value string) string { return encoded("Transfer-Encoding: " + value) }
	all := refused1("400", encoded,
		"TE: chunked, then x in a second field", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
		"TE: x, then chunked in a second field", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
		"TE: identity, then chunked in a second field", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
		"TE: chunked in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"TE: chunked in two fields of other case", "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked",
		"TE: chunked, and an empty second field", "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
		"TE: empty", "Transfer-Encoding:",
		"TE: a comma alone", "Transfer-Encoding: ,",
		"TE: folded", "Transfer-Encoding:\r\n chunked",
		"TE: folded with a tab", "Transfer-Encoding:\r\n\tchunked",
		"TE: folded behind LF", "Transfer-Encoding:\n chunked",
		"TE: folded behind chunked", "Transfer-Encoding: chunked\r\n ",
		"TE: folded, identity behind", "Transfer-Encoding: chunked\r\n , identity",
		"TE: folded behind another field", "X: y\r\n Transfer-Encoding: chunked",
		"TE: space before the colon", "Transfer-Encoding : chunked",
		"TE: tab before the colon", "Transfer-Encoding\t: chunked",
		"TE: vertical tab before the colon", "Transfer-Encoding\v: chunked",
		"TE: NUL before the colon", "Transfer-Encoding\x00: chunked",
		"TE: CR before the colon", "Transfer-Encoding\r: chunked",
		"TE: LF before the colon", "Transfer-Encoding\n: chunked",
		"TE: a byte beyond ASCII in the name", "Transfer-Encoding\xa0: chunked",
		"TE: space before the name", " Transfer-Encoding: chunked",
		"TE: NUL before the name", "\x00Transfer-Encoding: chunked",
		"TE: CR before the name", "\rTransfer-Encoding: chunked",
		"TE: colon before the name", ":Transfer-Encoding: chunked",
		"TE: behind a bare CR", "X: y\rTransfer-Encoding: chunked",
		"TE: no colon", "Transfer-Encoding chunked",
		"TE: a blank in the name", "Transfer Encoding: chunked",
	)
	all = append(all, refused1("400", value,
		`TE: "chunked" in quotes`, `"chunked"`,
		"TE: chunked;q=1", "chunked;q=1",
		"TE: chunked;", "chunked;",
		"TE: chunked twice without a comma", "chunked chunked",
		"TE: a blank inside chunked", "chun ked",
		"TE: vertical tab before chunked", "\vchunked",
		"TE: vertical tab behind chunked", "chunked\v",
		"TE: form feed before chunked", "\fchunked",
		"TE: NUL behind chunked", "chunked\x00",
		"TE: backspace behind x", "x\bchunked",
		"TE: DEL behind chunked", "chunked\x7f",
		"TE: CR before chunked", "\rchunked",
		"TE: CR behind chunked", "chunked\r",
		"TE: no-break space before chunked", "\u00a0chunked",
		"TE: Latin-1 no-break space before chunked", "\xa0chunked",
		"TE: next line behind chunked", "chunked\x85",
		"TE: 0xff behind chunked", "chunked\xff",
		"TE: the Kelvin sign for k", "chun\u212aed",
	)...)
	all = append(all, refused1("400 or 501", value, // a list may have empty members, and need not be taken with them
		"TE: comma before chunked", ", chunked",
		"TE: comma behind chunked", "chunked,",
	)...)
	// Codings that are codings: those that do not end with chunked leave the length open (RFC 9112 section 6.3), the
	// others are not served.
	all = append(all, refused1("400", value,
		"TE: xchunked", "xchunked",
		"TE: chunkedx", "chunkedx",
		"TE: 'chunked'", "'chunked'",
		"TE: cow", "cow",
		"TE: identity", "identity",
		"TE: gzip", "gzip",
		"TE: chunked, identity", "chunked, identity",
	)...)
	all = append(all, refused1("501", value,
		"TE: identity, chunked", "identity, chunked",
		"TE: gzip, chunked", "gzip, chunked",
		"TE: chunked, chunked", "chunked, chunked",
	)...)
	const whole = `POST /p shop.test; Transfer-Encoding: chunked "hello"`
	all = append(all, passing1(value,
		"TE: chunked", "chunked", whole,
		"TE: CHUNKED", "CHUNKED", whole,
		"TE: cHuNkEd", "cHuNkEd", whole,
		"TE: two blanks before chunked", " chunked", whole,
		"TE: tab before chunked", "\tchunked", whole,
		"TE: blank and tab behind chunked", "chunked \t", whole,
	)...)
	return append(all, passing1(encoded,
		"TE: behind a line that ends in LF", "X: y\nTransfer-Encoding: chunked", `POST /p shop.test; X: y; Transfer-Encoding: chunked "hello"`,
		"TE: no blank behind the colon", "Transfer-Encoding:chunked", whole,
	)...)
}

// lengthAttacks are about how a length is written.
func lengthAttacks() []attack {
	sized := func(value string) string { return post("Content-Length:"+value+"\r\n", "hello") }
	all := refused1("400", sized,
		"CL: 5, 5", " 5, 5", "CL: 5,6", " 5,6", "CL: a comma behind", " 5,", "CL: a comma before", " ,5", "CL: 5 5", " 5 5", "CL: 5;", " 5;",
		"CL: +5", " +5", "CL: -5", " -5", "CL: -0", " -0", "CL: 0x5", " 0x5", "CL: 5.0", " 5.0", "CL: 5e0", " 5e0", "CL: 1_0", " 1_0", "CL: 5 in quotes", ` "5"`,
		"CL: a comment", " 5 (five)", "CL: Arabic digit", " \u0665", "CL: full-width digit", " \uff15", "CL: empty", "", "CL: a blank alone", " ",
		"CL: 2^63", " 9223372036854775808", "CL: 2^64+5", " 18446744073709551621", "CL: 19 digits", " 0000000000000000005", "CL: 20 digits", " 00000000000000000005",
		"CL: vertical tab before 5", " \v5", "CL: form feed behind 5", " 5\f", "CL: NUL behind 5", " 5\x00", "CL: no-break space behind 5", " 5\xa0",
		"CL: CR before 5", " \r5", "CL: CR behind 5", " 5\r", "CL: folded", "\r\n 5", "CL: folded digits", " 4\r\n 8", "CL: folded behind LF", " \n 5",
		"CL twice, equal", " 5\r\nContent-Length: 5", "CL twice, other case", " 5\r\ncontent-length: 5", "CL twice, different", " 5\r\nContent-Length: 48",
		"CL twice, the first empty", "\r\nContent-Length: 5", "CL twice, apart", " 5\r\nX: y\r\nContent-Length: 0",
	)
	all = append(all, refused1("400", as,
		"CL: space before the colon", post("Content-Length : 5\r\n", "hello"),
		"CL: tab before the colon", post("Content-Length\t: 5\r\n", "hello"),
		"CL: NUL before the name", post("\x00Content-Length: 5\r\n", "hello"),
		"CL: vertical tab before the colon", post("Content-Length\v: 5\r\n", "hello"),
		"CL: behind a bare CR", post("X: y\rContent-Length: 5\r\n", "hello"),
		"a request behind one with a bad header", post("A B: c\r\nContent-Length: 43\r\n", smuggled),
	)...)
	const whole = `POST /p shop.test; Content-Length: 5 "hello"`
	all = append(all, passing1(sized,
		"CL: 5", " 5", whole,
		"CL: no blank behind the colon", "5", whole,
		"CL: tab before 5", "\t5", whole,
		"CL: blank and tab behind 5", " 5 \t", whole,
		"CL: 05", " 05", whole,
		"CL: 18 digits", " 000000000000000005", whole,
		"CL: behind a line that ends in LF", " 5\nX: y", `POST /p shop.test; X: y; Content-Length: 5 "hello"`,
		"CL: Content_Length behind it", " 5\r\nContent_Length: 48", whole,
		"CL: named in Connection", " 5\r\nConnection: Content-Length", whole,
	)...)
	all = append(all, passing1(as, "CL: Content_Length before it", post("Content_Length: 48\r\nContent-Length: 5\r\n", "hello"), whole)...)
	return append(all,
		attack{name: "CL: too long, the client ends", ends: true, send: "POST /cut HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000\r\n\r\nhello", answer: "400"},
		attack{name: "CL: 18 nines, the client ends", ends: true, send: "POST /cut HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 999999999999999999\r\n\r\nhello", answer: "400"},
	)
}
