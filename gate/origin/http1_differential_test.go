package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// oddity is a way to spoil an answer, or to write it as few servers do.
type oddity struct {
	name   string
	strict bool // direct may refuse what net/http takes
	change func(a *draft, t *rapid.T)
}

// draft is an answer that is being made up.
type draft struct {
	line   string
	fields []string
	body   string // as sent
	before string // informational answers
	behind string
}

func (d *draft) text() string {
	return d.before + d.line + "\r\n" + strings.Join(append(d.fields, ""), "\r\n") + "\r\n" + d.body + d.behind
}

func add(line string) func(*draft, *rapid.T) {
	return func(d *draft, _ *rapid.T) { d.fields = append(d.fields, line) }
}

func swap(old, new string) func(*draft, *rapid.T) {
	return func(d *draft, _ *rapid.T) { d.body = strings.Replace(d.body, old, new, 1) }
}

// The intended differences are those with strict set; net/http must never refuse what direct takes.
var oddities = []oddity{
	{"none", false, func(*draft, *rapid.T) {}},
	{"Transfer-Encoding beside Content-Length, or twice", true, add("Transfer-Encoding: chunked")},
	{"a coding that is unknown", false, add("Transfer-Encoding: gzip")},
	{"identity", false, add("Transfer-Encoding: identity")},
	{"another Content-Length", true, add("Content-Length: 3")},
	{"Content-Length: +2", true, add("Content-Length: +2")},
	{"a folded line", true, func(d *draft, _ *rapid.T) { d.fields = append(d.fields, "X-Fold: 1", " 2") }},
	{"a line without a colon", false, add("what")},
	{"a space before a length's colon", true, add("Content-Length : 2")},
	{"a bare CR", false, add("X-A: 1\rX-B: 2")},
	{"a control character", false, add("X-A: \x01")},
	{"text that is not ASCII", false, add("X-A: \xff\xc3\xa4")},
	{"a name that is not a token", false, add("X(A: 1")},
	{"no name", false, add(": 1")},
	{"Connection: close", false, add("Connection: close")},
	{
		"Connection names a field",
		false,
		func(d *draft, _ *rapid.T) { d.fields = append(d.fields, "Connection: x-hop, X-Other", "X-Hop: 1") },
	},
	{"Connection names the length", false, add("Connection: Trailer, Content-Length")},
	{"hop-by-hop fields", false, add("Keep-Alive: 5\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nTe: x")},
	{"HTTP/1.0", true, func(d *draft, _ *rapid.T) { d.line = strings.Replace(d.line, "1.1", "1.0", 1) }},
	{"HTTP/1.2", true, func(d *draft, _ *rapid.T) { d.line = strings.Replace(d.line, "1.1", "1.2", 1) }},
	{"HTTP/2.0", true, func(d *draft, _ *rapid.T) { d.line = strings.Replace(d.line, "1.1", "2.0", 1) }},
	{
		"two spaces before the status",
		true,
		func(d *draft, _ *rapid.T) { d.line = strings.Replace(d.line, " ", "  ", 1) },
	},
	{"no reason", false, func(d *draft, _ *rapid.T) { d.line = d.line[:12] }},
	{"a status below 100", false, func(d *draft, _ *rapid.T) { d.line = "HTTP/1.1 099 OK" }},
	{"four digits of status", false, func(d *draft, _ *rapid.T) { d.line = "HTTP/1.1 2000 OK" }},
	{"an empty line first", false, func(d *draft, _ *rapid.T) { d.line = "\r\n" + d.line }},
	{"hints", false, func(d *draft, _ *rapid.T) { d.before = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" }},
	{"101", false, func(d *draft, _ *rapid.T) { d.before = "HTTP/1.1 101 Switching\r\n\r\n" }},
	{"bytes behind", false, func(d *draft, _ *rapid.T) { d.behind = "HTTP/1.1 200 OK\r\n\r\n" }},
	{"a body that is cut", false, func(d *draft, t *rapid.T) {
		d.body = d.body[:rapid.IntRange(0, len(d.body)).Draw(t, "cut")]
	}},
	{"a byte of the body is another", true, func(d *draft, t *rapid.T) {
		if len(d.body) > 0 {
			i := rapid.IntRange(0, len(d.body)-1).Draw(t, "where")
			d.body = d.body[:i] + rapid.SampledFrom([]string{"0", "5", ";", "\r", "\n", "g", ""}).
				Draw(t, "what") +
				d.body[i+1:]
		}
	}},
	{"chunk extensions", false, swap("\r\n", ";a=\"b c\"\r\n")},
	{"blanks behind a chunk's size", false, swap("\r\n", " \t\r\n")},
	{"junk behind a chunk's size", false, swap("\r\n", " x\r\n")},
	{"LF alone", true, swap("\r\n", "\n")},
}

// ignored are the fields that the transport gets wrong, with what an answer has then.
var ignored = []struct{ answer, field string }{
	{"(?s)\nConnection:.*\nConnection:", "X-Hop"}, // it forgets what the first one names
	{
		"\nConnection: .*Content-Length",
		"Content-Length",
	}, // it believes that a length could be about the connection, in an answer to HEAD
}

// blanks before an extension are something that a reader must put up with (RFC 9112 section 7.1.1); net/http does not.
var blanks = regexp.MustCompile("\n[0-9a-f]+[ \t]+;")

const originDate = "Sat, 01 Aug 2026 00:00:00 GMT"

func answers() *rapid.Generator[struct {
	text   string
	strict bool
}] {
	return rapid.Custom(func(t *rapid.T) (out struct {
		text   string
		strict bool
	}) {
		status := rapid.SampledFrom([]int{200, 200, 200, 206, 301, 404, 500, 204, 304, 421, 599}).Draw(t, "status")
		d := &draft{line: fmt.Sprintf("HTTP/1.1 %d Whatever it is", status)}
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			d.fields = append(
				d.fields,
				rapid.SampledFrom([]string{"Content-Type: text/html", "Content-Type: text/event-stream", "Set-Cookie: a=b", "set-cookie: c=d",
					"X-Empty:", "X-Blank: \t x \t", "ETag: \"x\"", "Cache-Control: no-store", "Vary: a, b", "vary: c", "Date: " + originDate,
					"Location: //x/%2F", "Content-Encoding: gzip", "Content-Range: bytes 1-2/9"}).
					Draw(t, "field"),
			)
		}
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "bc", "\r\n", "0\r\n\r\n", strings.Repeat("long ", 2000)}), 0, 4).
			Draw(t, "parts")
		whole := strings.Join(parts, "")
		switch rapid.SampledFrom([]string{"length", "chunked", "trailers", "end"}).Draw(t, "framing") {
		case "length":
			d.fields, d.body = append(d.fields, fmt.Sprintf("Content-Length: %d", len(whole))), whole
		case "chunked":
			d.fields, d.body = append(d.fields, "Transfer-Encoding: chunked"), chunk(parts)+"0\r\n\r\n"
		case "trailers":
			d.fields, d.body = append(
				d.fields,
				"Transfer-Encoding: Chunked",
				"Trailer: X-Sum",
			), chunk(
				parts,
			)+"0\r\nX-Sum: 1\r\nX-Late: 2\r\n\r\n"
		default:
			d.body = whole
		}
		if status == 204 || status == 304 {
			d.body = ""
		}
		for _, o := range rapid.SliceOfN(rapid.SampledFrom(oddities), 1, 2).Draw(t, "oddities") {
			o.change(d, t)
			out.strict = out.strict || o.strict
		}
		out.text = d.text()
		return out
	})
}

func chunk(parts []string) string {
	var b strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(part), part)
	}
	return b.String()
}

// got is what a client made of an answer.
type got struct {
	status  int
	header  http.Header
	body    string
	trailer http.Header
	broken  bool // the answer was cut off
	word    string
}

// rivals are two Origins of one server, ours and one that asks by net/http's transport. Every answer has a connection
// of its own.
func rivals(t testing.TB, address string) (ours, theirs *Origin) {
	t.Helper()
	d := &http1Proxy{network: "tcp", address: address, wait: patience}
	d.idle.close()
	p, err := newProxy(address, nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	p.reverse.Transport = twice{&http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return net.Dial("tcp", address) },
		ResponseHeaderTimeout: patience, ExpectContinueTimeout: continueWait, DisableCompression: true, DisableKeepAlives: true,
	}}
	return alone(d), &Origin{list: &list{wait: patience, servers: []*server{{http2: p}}}}
}

// twice asks again where the answer is a 421, as is promised of every kind of server.
type twice struct{ *http.Transport }

func (t twice) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.Transport.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusMisdirectedRequest || r.Body != nil && r.Body != http.NoBody {
		return answer, err
	}
	answer.Body.Close()
	if answer, err = t.Transport.RoundTrip(r); err != nil {
		r.Context().Value(http2RequestKey{}).(*http2Request).call.status = http.StatusMisdirectedRequest
		return nil, &Failure{Misdirected, err}
	}
	return answer, nil
}

// direct against net/http's transport, through real servers to real clients.
func TestDirectIsAsTheTransportIs(t *testing.T) {
	var say atomic.Pointer[string]
	address := listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(c, *say.Load())
	})
	ours, theirs := rivals(t, address)
	words := make(chan string, 1)
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o := ours
			if r.URL.Path == "/theirs" {
				o = theirs
			}
			_, _, _, err := o.Serve(w, r)
			words <- outcome{err: err}.word()
			if errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler)
			}
		}))
		if server.EnableHTTP2 = http2; http2 {
			server.StartTLS()
		} else {
			server.Start()
		}
		defer server.Close()
		client := server.Client()
		client.Timeout = patience
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		client.Transport.(*http.Transport).DisableCompression = true
		client.Transport.(*http.Transport).DisableKeepAlives = !http2 // it would ask again where a connection is cut
		ask := func(method, path string) got {
			r, err := http.NewRequest(method, server.URL+path, nil)
			if err != nil {
				panic(err)
			}
			r.Host = "shop.example"
			answer, err := client.Do(r)
			if err != nil {
				return got{broken: true, word: <-words}
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if answer.Header.Get("Date") != originDate {
				answer.Header.Del("Date") // the gate's own
			}
			return got{answer.StatusCode, answer.Header, string(body), answer.Trailer, err != nil, <-words}
		}
		rapid.Check(t, func(t *rapid.T) {
			answer := answers().Draw(t, "answer")
			method := rapid.SampledFrom([]string{"GET", "GET", "HEAD", "POST"}).Draw(t, "method")
			say.Store(&answer.text)
			ours, theirs := ask(method, "/ours"), ask(method, "/theirs")
			if !strings.Contains(answer.text, "Content-Length") && theirs.word == "" {
				delete(
					theirs.header,
					"Content-Length",
				) // the HTTP/2 server's, who counts an empty body if nobody was in time to flush
			}
			for _, i := range ignored {
				if regexp.MustCompile(i.answer).MatchString(answer.text) {
					delete(ours.header, i.field)
					delete(theirs.header, i.field)
				}
			}
			switch {
			case reflect.DeepEqual(ours, theirs):
			case answer.strict && (ours.word == Garbage || ours.word == Reset):
			case theirs.word == Reset && blanks.MatchString(answer.text):
			case ours.broken && theirs.broken && ours.word == theirs.word: // how much came before is chance
			default:
				t.Fatalf(
					"%s %q over HTTP/2 %v\nours   %.400q\ntheirs %.400q",
					method,
					answer.text,
					http2,
					fmt.Sprint(ours),
					fmt.Sprint(theirs),
				)
			}
		})
	}
}
