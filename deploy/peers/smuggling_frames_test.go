//go:build peers

package peers

// pseudo are the fields of a request, and further ones.
func pseudo(method, scheme, authority, path string, more ...string) []string {
	return append([]string{":method", method, ":scheme", scheme, ":authority", authority, ":path", path}, more...)
}

// families2 are the attacks over HTTP/2. What is malformed resets the stream (RFC 9113 section 8.1.1) or is answered
// 400; the connection serves others. What the gateway says of a host comes before what is wrong with it: 421 for one
// that is no site's.
func families2() []family {
	return []family{
		{"H2.CL", lengthAttacks2()},
		{"H2.TE and fields about connections", encodingAttacks2()},
		{"CR, LF and NUL in names and values", injectionAttacks2()},
		{"pseudo-headers and tunnelled requests", pseudoAttacks2()},
		{":authority", authorityAttacks2()},
		{"fields about the client, underscores, Expect", clientAttacks2()},
		{"trailers", trailerAttacks2()},
		{"oversize", oversizeAttacks2()},
	}
}

// refused2 are attacks with the same answer, on a connection that goes on: names and fields.
func refused2(answer string, form func(string) []string, pairs ...string) (all []attack) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, attack{name: pairs[i], h2: form(pairs[i+1]), answer: answer, open: true})
	}
	return all
}

// passing2 are attacks that are answered with 200: names, fields and what the origin sees.
func passing2(form func(string) []string, triples ...string) (all []attack) {
	for i := 0; i < len(triples); i += 3 {
		all = append(all, attack{name: triples[i], h2: form(triples[i+1]), answer: "200", open: true, view: triples[i+2]})
	}
	return all
}

const resetProtocol = "reset PROTOCOL_ERROR"

// injectionAttacks2 would be more than one field, or more than one request, in HTTP/1.1.
func injectionAttacks2() []attack {
	name := func(name string) []string { return get2("/g", name, "z") }
	value := func(value string) []string { return get2("/g", "x", value) }
	all := refused2(resetProtocol, name,
		"name in upper case", "X-Upper", "name with CR LF", "x\r\nevil", "name with LF", "x\nevil", "name with CR", "x\revil", "name with NUL", "x\x00",
		"name with a colon", "x:y", "name with a colon and a blank", "x: y", "name that ends in a colon", "x:", "name with a blank", "x y", "name that ends in a blank", "x ",
		"name with a tab", "x\t", "name with a vertical tab", "x\v", "name beyond ASCII", "x\xe4", "name with DEL", "x\x7f", "name that is empty", "",
		"name that is a field", "transfer-encoding: chunked\r\nx", "name that is a request", "x: y\r\n\r\nget /smuggled http/1.1\r\nhost: shop.test\r\n",
	)
	all = append(all, refused2(resetProtocol, value,
		"value with CR LF", "y\r\nEvil: z", "value with CR", "y\rEvil: z", "value with LF", "y\nEvil: z", "value with NUL", "y\x00z", "value with a vertical tab", "y\vz",
		"value with a form feed", "y\fz", "value with DEL", "y\x7f", "value with ESC", "\x1b[1m", "value that ends in CR LF", "y\r\n", "value that begins with LF", "\ny",
		"value with a folded line", "y\r\n z", "value that is a field", "y\r\nTransfer-Encoding: chunked", "value that is a Host", "y\r\nHost: evil.test",
		"value that is a length", "y\r\nContent-Length: 0", "value that is a request", "y\r\n\r\n"+smuggled, "value that is a request behind LF", "y\n\n"+smuggled,
	)...)
	return append(all, passing2(value,
		"value with blanks around", " y ", "GET /g shop.test; X: y", // RFC 9113 section 8.2.1 has it malformed; HTTP/1.1 has one way to read it
		"value with a tab", "y\tz", "GET /g shop.test; X: y\tz",
		"value beyond ASCII", "\xff\xc3\xa4", "GET /g shop.test; X: <ff><c3><a4>",
		"value with escapes of CR and LF", "y%0d%0aEvil: z", "GET /g shop.test; X: y%0d%0aEvil: z",
		"value that some decode to CR and LF", "y\u560d\u560aEvil: z", "GET /g shop.test; X: y<e5><98><8d><e5><98><8a>Evil: z",
	)...)
}

// pseudoAttacks2 are about request lines.
func pseudoAttacks2() []attack {
	path := func(path string) []string { return pseudo("GET", "https", shop, path) }
	method := func(method string) []string { return pseudo(method, "https", shop, "/g") }
	scheme := func(scheme string) []string { return pseudo("GET", scheme, shop, "/g") }
	more := func(name string) []string { return pseudo("GET", "https", shop, "/g", name, "/evil") }
	all := refused2(resetProtocol, path,
		":path with HTTP/1.1 and a field", "/g HTTP/1.1\r\nHost: evil.test\r\n\r\n", ":path with an encoding", "/g HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y",
		":path that is two requests", "/g HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /smuggled", ":path with CR", "/g\rx", ":path with LF", "/g\nx", ":path with NUL", "/g\x00",
		":path with a tab", "/g\tx", ":path with a vertical tab", "/g\vx", ":path with DEL", "/g\x7f", ":path absolute", "http://evil.test/g", ":path without a slash", "g",
		":path that begins with a blank", " /g", ":path empty", "", ":path ?", "?x", ":path with a backslash first", "\\g", ":path * and more", "*/g",
	)
	all = append(all, refused2("400", path,
		":path with a blank", "/g evil", ":path with HTTP/1.1", "/g HTTP/1.1", ":path that ends in a blank", "/g ", ":path with a blank in its query", "/g?x y", ":path *", "*",
		":path with a fragment", "/g#evil", ":path with a fragment in its query", "/g?x#evil",
	)...)
	all = append(all, refused2(resetProtocol, method,
		":method with CR LF", "GET /smuggled HTTP/1.1\r\nHost: evil.test\r\nX: ", ":method with an encoding", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: ",
		":method HEAD and a request", "HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\nGET /smuggled HTTP/1.1\r\nX: ", ":method with LF", "GET\n", ":method with NUL", "GET\x00",
		":method empty", "", ":method CONNECT with a path", "CONNECT",
	)...)
	all = append(all, refused2("400", method,
		":method with a request line", "GET /smuggled HTTP/1.1", ":method that ends in a blank", "GET ", ":method that begins with a blank", " GET", ":method with a tab", "GET\t",
		":method with a colon", "GET:", ":method with a slash", "GE/T", ":method beyond ASCII", "G\xc3\x84T",
	)...)
	all = append(all, refused2("405", method, ":method TRACE", "TRACE")...)
	all = append(all, refused2(resetProtocol, scheme,
		":scheme with CR LF", "https\r\nX: y", ":scheme with a host", "https://evil.test/?", ":scheme gopher", "gopher", ":scheme empty", "", ":scheme in upper case", "HTTPS",
	)...)
	all = append(all, refused2(resetProtocol, more, "two :path", ":path", "two :authority", ":authority", "two :method", ":method", "two :scheme", ":scheme",
		":protocol without CONNECT", ":protocol", "unknown pseudo-header", ":evil", ":status in a request", ":status", "pseudo-header without a name", ":")...)
	without := func(name string) []string {
		var left []string
		for all := get2("/g"); len(all) > 0; all = all[2:] {
			if all[0] != name {
				left = append(left, all[:2]...)
			}
		}
		return left
	}
	all = append(all, refused2(resetProtocol, without, "no :scheme", ":scheme", "no :method", ":method", "no :path", ":path")...)
	all = append(all,
		attack{name: "pseudo-header behind a field", h2: []string{":method", "GET", ":scheme", "https", ":authority", shop, "x", "y", ":path", "/g"}, answer: resetProtocol, open: true},
		attack{name: ":protocol", h2: pseudo("CONNECT", "https", shop, "/g", ":protocol", "websocket"), answer: resetProtocol, open: true},
		attack{name: ":method CONNECT", h2: []string{":method", "CONNECT", ":authority", "shop.test:443"}, answer: "405", open: true},
		attack{name: ":method CONNECT, a request in the tunnel", h2: []string{":method", "CONNECT", ":authority", "shop.test:443"}, data: []string{smuggled}, answer: "405", open: true},
		attack{name: ":method CONNECT elsewhere", h2: []string{":method", "CONNECT", ":authority", "127.0.0.1:22"}, answer: "421", open: true},
		attack{name: ":method TRACE with a body", h2: pseudo("TRACE", "https", shop, "/g"), data: []string{smuggled}, answer: "405", open: true},
		attack{name: ":path * of OPTIONS", h2: pseudo("OPTIONS", "https", shop, "*"), answer: "200", open: true, view: "OPTIONS * shop.test"},
		attack{name: ":scheme http", h2: pseudo("GET", "http", shop, "/g"), answer: "200", open: true, view: "GET /g shop.test"},
	)
	all = append(all, passing2(path,
		"as it should be", "/g", "GET /g shop.test",
		":path with two slashes", "//evil.test/g", "GET //evil.test/g shop.test",
		":path with a backslash", "/g\\evil", `GET /g\evil shop.test`,
		":path beyond ASCII", "/\xc3\xa4\xff", "GET /<c3><a4><ff> shop.test",
		":path with escapes", "/g%0d%0aHost:%20evil.test%00", "GET /g%0d%0aHost:%20evil.test%00 shop.test",
		":path with dots", "/a/../g/./%2e%2e/%2f", "GET /a/../g/./%2e%2e/%2f shop.test",
	)...)
	return append(all, passing2(method, ":method in lower case", "get", "get /g shop.test", ":method HEAD", "HEAD", "HEAD /g shop.test")...)
}

// authorityAttacks2 name the host in ways that not everybody takes for the same one, or for one.
func authorityAttacks2() []attack {
	host := func(authority string) []string { return pseudo("GET", "https", authority, "/g") }
	beside := func(host string) []string { return get2("/g", "host", host) }
	alone := func(host string) []string {
		return []string{":method", "GET", ":scheme", "https", ":path", "/g", "host", host}
	}
	all := refused2(resetProtocol, host,
		":authority with userinfo", "evil@shop.test", ":authority with userinfo that is a host", "shop.test:80@evil.test", ":authority with CR LF", "shop.test\r\nX: y",
		":authority with LF and a field", "shop.test\nTransfer-Encoding: chunked", ":authority with NUL", "shop.test\x00", ":authority with a blank", "shop.test evil.test",
		":authority that ends in a blank", "shop.test ", ":authority with a path", "shop.test/evil", ":authority with a query", "shop.test?x", ":authority with a fragment", "shop.test#x",
		":authority with a backslash", `shop.test\evil`, ":authority beyond ASCII", "sh\u00f6p.test", ":authority with a scheme", "https://shop.test",
	)
	all = append(all, refused2("421", host, // no site has such a name, which is said before it is seen to be none
		":authority with a comma", "shop.test,evil.test", ":authority with a semicolon", "shop.test;x", ":authority with an escape", "sho%70.test", ":authority with two ports", "shop.test:80:443",
		":authority with a star", "*.test", ":authority that is a port", ":443", ":authority empty", "",
		":authority unknown", "other.test", ":authority IPv6", "[::1]", ":authority with an open bracket", "[::1",
	)...)
	all = append(all, refused2("400", host,
		":authority with a port that is none", "shop.test:80a", ":authority with port 65536", "shop.test:65536", ":authority with port 2^64+443", "shop.test:18446744073709552059",
		":authority with port +443", "shop.test:+443", ":authority with port -1", "shop.test:-1", ":authority with a comma behind the port", "shop.test:443,x", ":authority in brackets", "[shop.test]",
	)...)
	all = append(all, refused2(resetProtocol, beside,
		":authority and Host differ", "evil.test", ":authority and Host differ in case", "SHOP.test", ":authority and Host differ in a port", "shop.test:443", ":authority and an empty Host", "",
		":authority and Host with CR LF", "shop.test\r\nX: y",
	)...)
	all = append(all, refused2("421", alone, "Host alone, with a comma", "shop.test,evil.test", "Host alone, empty", "")...)
	all = append(all, refused2(resetProtocol, alone, "Host alone, with userinfo", "evil@shop.test", "Host alone, with LF", "shop.test\nX: y")...)
	all = append(all,
		attack{name: "two Hosts, no :authority", h2: append(alone(shop), "host", "evil.test"), answer: resetProtocol, open: true},
		attack{name: "two Hosts beside :authority", h2: get2("/g", "host", shop, "host", shop), answer: resetProtocol, open: true},
		attack{name: "neither Host nor :authority", h2: []string{":method", "GET", ":scheme", "https", ":path", "/g"}, answer: "421", open: true},
	)
	all = append(all, passing2(host,
		":authority with another port", "shop.test:8443", "GET /g shop.test:8443",
		":authority with an empty port", "shop.test:", "GET /g shop.test:",
		":authority in upper case, with a dot", "SHOP.Test.", "GET /g SHOP.Test.",
	)...)
	all = append(all, passing2(beside, ":authority and Host agree", shop, "GET /g shop.test")...)
	return append(all, passing2(alone, "Host alone", shop, "GET /g shop.test")...)
}
