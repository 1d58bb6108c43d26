//go:build peers

package peers

import (
	"fmt"
	"strings"
)

// expectAttacks have bodies that may or may not come.
func expectAttacks() []attack {
	sized := func(lines string) string { return post(lines+"Content-Length: 43\r\n", smuggled) }
	const hidden = ` "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`
	all := refused1("417", sized,
		"Expect: x", "Expect: x\r\n",
		"Expect: empty", "Expect:\r\n",
		"Expect: 100-continue and x", "Expect: 100-continue, x\r\n",
		"Expect: x and 100-continue", "Expect: x, 100-continue\r\n",
		"Expect: a word before 100-continue", "Expect: y 100-continue\r\n",
		"Expect: 100-continue;a", "Expect: 100-continue;a\r\n",
		"Expect: 100-continue=", "Expect: 100-continue=\r\n",
		"Expect: 100-continue in quotes", "Expect: \"100-continue\"\r\n",
		"Expect: 100", "Expect: 100\r\n",
		"Expect: 100-continuex", "Expect: 100-continuex\r\n",
		"Expect: a no-break space before 100-continue", "Expect: \xa0100-continue\r\n",
		"Expect in two fields, the other one x", "Expect: 100-continue\r\nExpect: x\r\n",
	)
	all = append(all, refused1("400", sized,
		"Expect: folded", "Expect:\r\n 100-continue\r\n",
		"Expect: a vertical tab before 100-continue", "Expect: \v100-continue\r\n",
		"Expect: NUL behind 100-continue", "Expect: 100-continue\x00\r\n",
		"Expect: space before the colon", "Expect : 100-continue\r\n",
		"Expect with a length and an encoding", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n",
	)...)
	const either = "200 or 100 200" // a server that has the body already need not ask for it
	for _, a := range []attack{
		{name: "Expect: the body comes at once", send: sized("Expect: 100-continue\r\n"), view: "POST /p shop.test; Expect: 100-continue; Content-Length: 43" + hidden},
		{name: "Expect: in upper case", send: sized("EXPECT: 100-CONTINUE\r\n"), view: "POST /p shop.test; EXPECT: 100-CONTINUE; Content-Length: 43" + hidden},
		{name: "Expect: a chunked body comes at once", send: chunkedExpect(fiveChunked), view: wholeChunked}, // the gateway has given the 100 itself
		{name: "Expect: named in Connection", send: sized("Connection: Expect\r\nExpect: 100-continue\r\n"), view: "POST /p shop.test; Content-Length: 43" + hidden},
	} {
		a.answer, a.open = either, true
		all = append(all, a)
	}
	all = append(all, passing1(as,
		"Expect of a GET without a body", get("Expect: 100-continue\r\n"), "GET /g shop.test; Expect: 100-continue",
		"Expect of a POST of length 0", post("Expect: 100-continue\r\nContent-Length: 0\r\n", ""), "POST /p shop.test; Expect: 100-continue; Content-Length: 0",
		"Expect_", post("Expect_: x\r\nContent-Length: 5\r\n", "hello"), `POST /p shop.test; Expect_: x; Content-Length: 5 "hello"`,
	)...)
	return append(all,
		attack{name: "Expect: chunks that are none", send: strings.Replace(chunkedExpect("hello\r\n"+smuggled), "/p", cutOff, 1), answer: "400 or 100 400"},
		attack{name: "Expect: the host is unknown, the body comes nevertheless", either: true, answer: "404",
			send: "POST /p HTTP/1.1\r\nHost: other.test\r\nExpect: 100-continue\r\nContent-Length: 43\r\n\r\n" + smuggled},
		attack{name: "Expect over HTTP/1.0", answer: "200", view: "POST /p shop.test; Content-Length: 43" + hidden,
			send: "POST /p HTTP/1.0\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 43\r\n\r\n" + smuggled},
	)
}

func chunkedExpect(body string) string {
	return post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", body)
}

// oldAttacks are over HTTP/1.0, which knows neither encodings nor connections that last, unless it is asked.
func oldAttacks() []attack {
	old := func(method, lines, rest string) string {
		return method + " /o HTTP/1.0\r\nHost: shop.test\r\n" + lines + "\r\n" + rest
	}
	all := refused1("400", as,
		"1.0: TE", old("POST", "Transfer-Encoding: chunked\r\n", fiveChunked),
		"1.0: TE, kept alive", old("POST", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", fiveChunked),
		"1.0: TE: identity", old("POST", "Transfer-Encoding: identity\r\n", "hello"),
		"1.0: TE and CL, kept alive", old("POST", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 48\r\n", "0\r\n\r\n"+smuggled),
		"1.0: CL twice", old("POST", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
		"1.0: two Hosts", old("GET", "Host: shop.test\r\n", ""),
		"1.0: a Host that is none", "GET /o HTTP/1.0\r\nHost: shop.test,evil.test\r\n\r\n",
		"1.0: a folded field", old("GET", "X: y\r\n z\r\n", ""),
	)
	closing := func(name, send, view string) attack { return attack{name: name, send: send, answer: "200", view: view} }
	all = append(all,
		closing("1.0: nothing is served behind", old("GET", "", ""), "GET /o shop.test"),
		closing("1.0: a body, nothing is served behind", old("POST", "Content-Length: 5\r\n", "hello"), `POST /o shop.test; Content-Length: 5 "hello"`),
		closing("1.0: a body without a length", old("POST", "", "hello"), "POST /o shop.test; Content-Length: 0"),
		closing("1.0: Connection: close, keep-alive", old("GET", "Connection: close, keep-alive\r\n", ""), "GET /o shop.test"),
		closing("1.0: Proxy-Connection: keep-alive", old("GET", "Proxy-Connection: keep-alive\r\n", ""), "GET /o shop.test"),
		closing("1.0: absolute form, no Host", "GET http://shop.test/o HTTP/1.0\r\n\r\n", "GET /o shop.test"),
		closing("1.0: Upgrade", old("GET", "Connection: upgrade\r\nUpgrade: websocket\r\n", ""), "GET /o shop.test"),
		closing("1.0: Transfer_Encoding", old("POST", "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"), `POST /o shop.test; Content-Length: 5 "hello"`),
		attack{name: "1.0: no Host", send: "GET /o HTTP/1.0\r\n\r\n", answer: "404"},
	)
	for _, a := range []attack{
		{name: "1.0: kept alive", send: old("GET", "Connection: keep-alive\r\n", ""), view: "GET /o shop.test"},
		{name: "1.0: kept alive, with a body", send: old("POST", "Connection: keep-alive\r\nContent-Length: 43\r\n", smuggled),
			view: `POST /o shop.test; Content-Length: 43 "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"`},
		{name: "1.0: keep-alive in upper case, in a list", send: old("GET", "Connection: X-Y, KEEP-ALIVE\r\nX-Y: z\r\n", ""), view: "GET /o shop.test"},
	} {
		a.answer, a.either = "200", true
		all = append(all, a)
	}
	return append(all, attack{name: "1.0: kept alive, a body without a length behind", send: old("POST", "Connection: keep-alive\r\n", "hello\r\n"),
		answer: "200 or 200 400", view: "POST /o shop.test; Content-Length: 0"})
}

// pipelineAttacks have more than one request: each gets its own answer, and nothing is served behind one that is
// refused.
func pipelineAttacks() []attack {
	at := func(path, lines string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: shop.test\r\n" + lines + "\r\n"
	}
	all := []attack{
		{name: "a pipeline", send: at("/1", "") + post("Content-Length: 5\r\n", "hello") + chunkedPost(fiveChunked) + at("/4", ""), answer: "200 200 200 200", open: true,
			view: `GET /1 shop.test | POST /p shop.test; Content-Length: 5 "hello" | POST /p shop.test; Transfer-Encoding: chunked "hello" | GET /4 shop.test`},
		{name: "HEAD before others", send: "HEAD /1 HTTP/1.1\r\nHost: shop.test\r\n\r\n" + at("/2", "") + at("/3", ""), answer: "200 200 200", open: true,
			view: "HEAD /1 shop.test | GET /2 shop.test | GET /3 shop.test"},
		{name: "unknown host between others", send: at("/1", "") + "GET /2 HTTP/1.1\r\nHost: other.test\r\n\r\n" + at("/3", ""), answer: "200 404 200", open: true,
			view: "GET /1 shop.test | GET /3 shop.test"},
		{name: "Connection: close, and a request behind", send: at("/1", "Connection: close\r\n") + smuggled, answer: "200", view: "GET /1 shop.test"},
		{name: "Connection: close in a list, and a request behind", send: at("/1", "Connection: x, Close\r\n") + smuggled, answer: "200", view: "GET /1 shop.test"},
		{name: "Connection: close in a second field", send: at("/1", "Connection: keep-alive\r\nConnection: close\r\n") + smuggled, answer: "200", view: "GET /1 shop.test"},
		{name: "empty line behind a body", send: post("Content-Length: 5\r\n", "hello") + "\r\n", answer: "200", open: true, view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "five empty lines behind a body", send: post("Content-Length: 5\r\n", "hello") + strings.Repeat("\r\n", 5), answer: "200 400", view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "a byte too many behind a body", send: post("Content-Length: 5\r\n", "hello\x00"), answer: "200 400", view: `POST /p shop.test; Content-Length: 5 "hello"`},
		{name: "unknown host, the body is a request", send: "POST /p HTTP/1.1\r\nHost: other.test\r\nContent-Length: 43\r\n\r\n" + smuggled, answer: "404", either: true},
		{name: "unknown host, the chunks are a request", send: "POST /p HTTP/1.1\r\nHost: other.test\r\nTransfer-Encoding: chunked\r\n\r\n2b\r\n" + smuggled + "\r\n0\r\n\r\n",
			answer: "404", either: true},
		{name: "unknown host, the chunks are none", send: "POST /p HTTP/1.1\r\nHost: other.test\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n" + smuggled, answer: "404"},
		{name: "unknown host, the body does not come", ends: true, send: "POST /p HTTP/1.1\r\nHost: other.test\r\nContent-Length: 1000\r\n\r\n", answer: "404"},
	}
	var many, views string
	for i := range 100 {
		many += at(fmt.Sprint("/", i), "")
		views += fmt.Sprintf(" | GET /%d shop.test", i)
	}
	all = append(all, attack{name: "100 requests at once", send: many, answer: strings.TrimSpace(strings.Repeat("200 ", 100)), open: true, view: views[3:]})
	// Each behind a good request and before another one.
	for _, bad := range []struct{ name, answer, send string }{
		{"a bad request line", "400", "GET  /bad HTTP/1.1\r\nHost: shop.test\r\n\r\n"},
		{"a bad field", "400", at("/bad", "X : y\r\n")},
		{"no Host", "400", "GET /bad HTTP/1.1\r\n\r\n"},
		{"a length and an encoding", "400", post("Content-Length: 48\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
		{"a length that is none", "400", at("/bad", "Content-Length: x\r\n")},
		{"a bad chunk", "400", brokenPost("x\r\n")},
		{"a bad end of a chunk", "400", brokenPost("5\r\nhello\n0\r\n\r\n")},
		{"an unknown encoding", "400", post("Transfer-Encoding: cow\r\n", "")},
		{"another version", "505", "GET /bad HTTP/2.0\r\nHost: shop.test\r\n\r\n"},
		{"an unknown expectation", "417", at("/bad", "Expect: x\r\n")},
		{"a head too large", "431", at("/bad", "X: "+strings.Repeat("x", 40<<10)+"\r\n")},
		{"CONNECT", "405", "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test\r\n\r\n"},
	} {
		all = append(all, attack{name: "nothing is served behind " + bad.name, send: at("/1", "") + bad.send + smuggled, answer: "200 " + bad.answer, view: "GET /1 shop.test"})
	}
	return all
}
