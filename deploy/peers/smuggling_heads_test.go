//go:build peers

package peers

import "strings"

// headLine is a request with a request line.
func headLine(line string) string { return line + "\r\nHost: shop.test\r\n\r\n" }

// hostAttacks name the host in ways that not everybody takes for the same one, or for one.
func hostAttacks() []attack {
	host := func(host string) string { return "GET /g HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }
	all := refused1("400", host,
		"Host with a blank", "shop.test evil.test", "Host with a tab", "shop.test\tevil.test", "Host with a comma", "shop.test,evil.test", "Host: a,b", "a,b",
		"Host with userinfo", "evil@shop.test", "Host: userinfo that is a host", "shop.test@evil.test", "Host: userinfo with a port", "shop.test:80@evil.test",
		"Host with a path", "shop.test/evil", "Host with a query", "shop.test?evil", "Host with a fragment", "shop.test#evil", "Host with a backslash", `shop.test\evil`,
		"Host with a scheme", "http://shop.test", "Host with a semicolon", "shop.test;evil", "Host in quotes", `"shop.test"`, "Host with a star", "*.test",
		"Host with an exclamation mark", "shop!.test", "Host with a tilde", "~shop.test",
		"Host with NUL", "shop.test\x00evil", "Host with a vertical tab", "shop.test\v", "Host with CR", "shop.test\revil.test", "Host with DEL", "shop.test\x7f",
		"Host with an umlaut", "sh\u00f6p.test", "Host with a no-break space", "shop.test\xa0", "Host with a full-width dot", "shop\uff0etest", "Host with an escape", "sho%70.test",
		"Host with a port that is none", "shop.test:80a", "Host with a blank in the port", "shop.test: 443", "Host with port -1", "shop.test:-1", "Host with port +443", "shop.test:+443",
		"Host with port 65536", "shop.test:65536", "Host with port 2^64+443", "shop.test:18446744073709552059", "Host with two ports", "shop.test:80:443", "Host: a port alone", ":443",
		"Host in brackets", "[shop.test]", "Host: IPv4 in brackets", "[127.0.0.1]", "Host: an open bracket", "[::1", "Host: IPv6 without brackets", "::1",
		"Host: IPv6 with a zone", "[fe80::1%25lo]", "Host: something behind the bracket", "[::1]evil", "Host: IPvFuture", "[v1.a]",
	)
	all = append(all, refused1("400", as,
		"no Host", "GET /g HTTP/1.1\r\n\r\n",
		"no Host over HTTP/1.2", "GET /g HTTP/1.2\r\n\r\n",
		"two Hosts", get("Host: shop.test\r\n"),
		"two Hosts, other case", get("HOST: shop.test\r\n"),
		"two Hosts, the other one foreign", get("Host: evil.test\r\n"),
		"two Hosts, the first one foreign", "GET /g HTTP/1.1\r\nHost: evil.test\r\nHost: shop.test\r\n\r\n",
		"two Hosts, the other one empty", get("Host:\r\n"),
		"Host folded", "GET /g HTTP/1.1\r\nHost:\r\n shop.test\r\n\r\n",
		"Host folded, another one behind", "GET /g HTTP/1.1\r\nHost: shop.test\r\n evil.test\r\n\r\n",
		"two Hosts, the other one folded", "GET /g HTTP/1.1\r\n Host: evil.test\r\nHost: shop.test\r\n\r\n",
		"Host with a space before the colon", "GET /g HTTP/1.1\r\nHost : shop.test\r\n\r\n",
		"Host beside one with a space before the colon", get("Host : evil.test\r\n"),
		"Host beside one with NUL in its name", get("Host\x00: evil.test\r\n"),
		"Host behind a bare CR", "GET /g HTTP/1.1\r\nX: y\rHost: evil.test\r\nHost: shop.test\r\n\r\n",
	)...)
	for _, unknown := range [][2]string{
		{"Host empty", ""}, {"Host unknown", "other.test"}, {"Host with two dots behind", "shop.test.."}, {"Host with a dot before", ".shop.test"},
		{"Host of a longer name", "shop.test.evil.test"}, {"Host IPv4", "127.0.0.1"}, {"Host IPv6", "[::1]:443"}, {"Host a number", "2130706433"},
	} {
		all = append(all, attack{name: unknown[0], send: host(unknown[1]), answer: "404", open: true})
	}
	return append(all, passing1(host,
		"Host with an empty port", "shop.test:", "GET /g shop.test:",
		"Host with another port", "shop.test:8443", "GET /g shop.test:8443",
		"Host with port 65535", "shop.test:65535", "GET /g shop.test:65535",
		"Host in upper case, with a dot", "SHOP.Test.", "GET /g SHOP.Test.",
		"Host with blanks around", " \tshop.test \t", "GET /g shop.test",
	)...)
}

// absoluteAttacks name the host in the target: that one counts, and the origin gets no other.
func absoluteAttacks() []attack {
	target := func(target string) string { return headLine("GET " + target + " HTTP/1.1") }
	all := refused1("400", target,
		"userinfo", "http://evil@shop.test/g", "userinfo, a host before it", "http://shop.test:80@evil.test/g", "userinfo, empty", "http://@shop.test/g",
		"userinfo with a password", "https://a:b@shop.test/g", "ftp", "ftp://shop.test/g", "ws", "ws://shop.test/g", "file", "file:///g", "javascript", "javascript://shop.test/g",
		"scheme alone", "http:g", "scheme and a path", "http:/g", "no scheme", "://shop.test/g", "no host", "http:///g", "a port alone", "http://:80/g",
		"a comma in the host", "http://shop.test,evil.test/g", "an escape in the host", "http://sho%70.test/g", "a backslash behind the host", `http://shop.test\@evil.test/g`,
		"a fragment behind the host", "http://shop.test#@evil.test/g", "two ports", "http://shop.test:80:443/g", "port 65536", "http://shop.test:65536/g",
		"a port that is none", "http://shop.test:80a/g", "NUL in the host", "http://shop.test\x00/g", "an umlaut in the host", "http://sh\u00f6p.test/g",
		"IPv6 that does not end", "http://[::1/g", "IPv6 with a zone", "http://[fe80::1%25lo]/g",
	)
	all = append(all, refused1("400", as,
		"no Host", "GET http://shop.test/g HTTP/1.1\r\n\r\n",
		"a Host that is none", "GET http://shop.test/g HTTP/1.1\r\nHost: a,b\r\n\r\n",
		"two Hosts", "GET http://shop.test/g HTTP/1.1\r\nHost: shop.test\r\nHost: shop.test\r\n\r\n",
	)...)
	for _, unknown := range [][2]string{{"Host differs", "http://other.test/g"}, {"unknown IPv6", "http://[::1]/g"}, {"of https, Host differs", "https://other.test/g"}} {
		all = append(all, attack{name: unknown[0], send: target(unknown[1]), answer: "404", open: true})
	}
	all = append(all, passing1(target,
		"http", "http://shop.test/g", "GET /g shop.test",
		"https", "https://shop.test/g", "GET /g shop.test",
		"HTTP in upper case", "HTTP://shop.test/g", "GET /g shop.test",
		"no path", "http://shop.test", "GET / shop.test",
		"no path, a query", "http://shop.test?x=y", "GET /?x=y shop.test",
		"another port", "http://shop.test:8080/g", "GET /g shop.test:8080",
		"two slashes", "http://shop.test//evil.test/g", "GET //evil.test/g shop.test",
		"a URL for a path", "http://shop.test/http://evil.test/g", "GET /http://evil.test/g shop.test",
		"@ in the path", "http://shop.test/@evil.test", "GET /@evil.test shop.test",
	)...)
	all = append(all, passing1(as,
		"Host is foreign", "GET http://shop.test/g HTTP/1.1\r\nHost: evil.test\r\n\r\n", "GET /g shop.test",
		"Host has another port", "GET http://shop.test/g HTTP/1.1\r\nHost: shop.test:8443\r\n\r\n", "GET /g shop.test",
		"Host is empty", "GET http://shop.test/g HTTP/1.1\r\nHost:\r\n\r\n", "GET /g shop.test",
	)...)
	for i := range all {
		all[i].name = "absolute form: " + all[i].name
	}
	return all
}

// lineAttacks are about the rest of request lines, and what is before them.
func lineAttacks() []attack {
	all := refused1("400", headLine,
		"target: an authority", "GET shop.test:443 HTTP/1.1", "target: no slash", "GET g HTTP/1.1", "target: a query alone", "GET ?x=y HTTP/1.1", "target: a fragment alone", "GET #x HTTP/1.1",
		"target: with a fragment", "GET /g#evil HTTP/1.1", "target: with a fragment behind a query", "GET /g?x#evil HTTP/1.1",
		"target: *", "GET * HTTP/1.1", "target: * and more of OPTIONS", "OPTIONS *x HTTP/1.1", "target: with a blank", "GET /g /evil HTTP/1.1", "target: with a tab", "GET /g\t/evil HTTP/1.1",
		"target: with a vertical tab", "GET /g\v/evil HTTP/1.1", "target: with a form feed", "GET /g\f HTTP/1.1", "target: with NUL", "GET /g\x00 HTTP/1.1",
		"target: with a bare CR", "GET /g\r/evil HTTP/1.1", "target: with DEL", "GET /g\x7f HTTP/1.1", "target: with ESC", "GET /\x1b[1m HTTP/1.1", "target: none", "GET HTTP/1.1",
		"target: empty", "GET  HTTP/1.1", "target: two versions", "GET /g HTTP/1.1 HTTP/1.1", "target: a backslash for a slash", `GET \g HTTP/1.1`,
		"line: two blanks before the target", "GET  /g HTTP/1.1", "line: two blanks behind the target", "GET /g  HTTP/1.1", "line: tab before the target", "GET\t/g HTTP/1.1",
		"line: tab behind the target", "GET /g\tHTTP/1.1", "line: vertical tab behind the target", "GET /g\vHTTP/1.1", "line: no-break space behind the target", "GET /g\xa0HTTP/1.1",
		"line: blank before the method", " GET /g HTTP/1.1", "line: blank behind the version", "GET /g HTTP/1.1 ", "line: tab behind the version", "GET /g HTTP/1.1\t",
		"line: CR behind the version", "GET /g HTTP/1.1\r", "line: NUL before the method", "\x00GET /g HTTP/1.1", "line: CR before the method", "\rGET /g HTTP/1.1",
		"line: an empty line of a blank", " \r\nGET /g HTTP/1.1", "line: a byte order mark", "\ufeffGET /g HTTP/1.1", "method: none", "/g HTTP/1.1", "method: with a colon", "GET: /g HTTP/1.1",
		"method: with a slash", "GE/T /g HTTP/1.1", "method: in quotes", `"GET" /g HTTP/1.1`, "method: with NUL", "GE\x00T /g HTTP/1.1", "method: beyond ASCII", "G\xc3\x84T /g HTTP/1.1",
		"method: @", "@ /g HTTP/1.1", "version: none", "GET /g", "version: HTTP alone", "GET /g HTTP", "version: HTTP/", "GET /g HTTP/", "version: HTTP/1", "GET /g HTTP/1",
		"version: HTTP/1.", "GET /g HTTP/1.", "version: HTTP/.1", "GET /g HTTP/.1", "version: HTTP/1.10", "GET /g HTTP/1.10", "version: HTTP/11.1", "GET /g HTTP/11.1",
		"version: HTTP/1,1", "GET /g HTTP/1,1", "version: HTTP/1.1x", "GET /g HTTP/1.1x", "version: HTTP/1.x", "GET /g HTTP/1.x", "version: HTTP/+1.1", "GET /g HTTP/+1.1",
		"version: HTTP /1.1", "GET /g HTTP /1.1", "version: http/1.1", "GET /g http/1.1", "version: HTTPS/1.1", "GET /g HTTPS/1.1", "version: ICY/1.1", "GET /g ICY/1.1",
		"version: a full-width digit", "GET /g HTTP/\uff11.1",
	)
	all = append(all, refused1("400", as,
		"version: HTTP/0.9 without a word", "GET /g\r\n",
		"empty lines: five before a request", strings.Repeat("\r\n", 5)+get(""),
		"empty lines: CR alone before a request", "\r"+get(""),
		"TLS in TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	)...)
	all = append(all, refused1("505", headLine, "version: HTTP/0.9", "GET /g HTTP/0.9", "version: HTTP/2.0", "GET /g HTTP/2.0", "version: HTTP/3.0", "GET /g HTTP/3.0")...)
	all = append(all, attack{name: "version: HTTP/2's preface", send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", answer: "505 or 400"},
		attack{name: "version: HTTP/1.0", send: headLine("GET /g HTTP/1.0"), answer: "200", view: "GET /g shop.test"})
	return append(all, passing1(as,
		"empty lines: one before a request", "\r\n"+get(""), "GET /g shop.test",
		"empty lines: four before a request", strings.Repeat("\r\n", 4)+get(""), "GET /g shop.test",
		"empty lines: LF before a request", "\n"+get(""), "GET /g shop.test",
		"version: HTTP/1.2", headLine("GET /g HTTP/1.2"), "GET /g shop.test",
		"version: HTTP/1.9", headLine("GET /g HTTP/1.9"), "GET /g shop.test",
		"method: in lower case", headLine("get /g HTTP/1.1"), "get /g shop.test",
		"method: unknown", headLine("BREW /g HTTP/1.1"), "BREW /g shop.test",
		"method: every character of a token", headLine("!#$%&'*+-.^_`|~0Az /g HTTP/1.1"), "!#$%&'*+-.^_`|~0Az /g shop.test",
		"target: * of OPTIONS", headLine("OPTIONS * HTTP/1.1"), "OPTIONS * shop.test",
		"target: with a backslash", headLine(`GET /g\evil HTTP/1.1`), `GET /g\evil shop.test`,
		"target: beyond ASCII", headLine("GET /\xc3\xa4\xff HTTP/1.1"), "GET /<c3><a4><ff> shop.test",
		"target: escapes of CR, LF, NUL", headLine("GET /g%0d%0aHost:%20evil.test%00 HTTP/1.1"), "GET /g%0d%0aHost:%20evil.test%00 shop.test",
		"target: dots and slashes", headLine("GET //a/../g/./%2e%2e/%2f;x?y=z HTTP/1.1"), "GET //a/../g/./%2e%2e/%2f;x?y=z shop.test",
		"lines end in LF", "GET /g HTTP/1.1\nHost: shop.test\nX: y\n\n", "GET /g shop.test; X: y",
		"lines end in LF and in CR LF", "GET /g HTTP/1.1\nHost: shop.test\r\nX: y\n\r\n", "GET /g shop.test; X: y",
	)...)
}
