//go:build peers

package peers

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
)

func connectionRows() []feature {
	only1 := map[string]string{"HTTP/2.0": noSuchIn2}
	text := []byte("some text")
	expecting := func(target, what string) ask {
		return ask{method: "POST", target: target, body: text, header: fields("Expect", what)}
	}
	return []feature{
		{name: "100-continue, taken", ask: expecting("/echo/a", "100-continue"), want: all(content(int64(len(text)), text), early(100)), apart: []string{"Expect"}},
		{name: "100-continue, refused with 417", try: func(l *lane) string { return refusedExpect(l, 417) },
			gate: map[string]string{"HTTP/2.0": "over HTTP/2 the engine (x/net/http2) answers Expect itself: the refusal arrives, but behind a 100"}},
		{name: "an Expect that nobody knows", ask: expecting("/echo/a", "tea"), own: true, want: tea},
		{name: "103 Early Hints, twice", try: hinted,
			origin: map[string]string{"nginx": "nginx 1.22 takes its own upstream's 103 for the answer: it passes it on as such, and what follows as its body; the connection's next request waits for ever"}},
		{name: "413 while the body is being sent", try: earlyAnswer,
			origin: map[string]string{"apache": "Apache's mod_proxy_http passes an early answer on only behind the whole request"}},
		{name: "100 requests on one connection", try: kept},
		{name: "100 requests at once", try: atOnce},
		{name: "requests in a pipeline", absent: only1, try: pipeline},
		{name: "a client of HTTP/1.0", absent: only1, try: func(l *lane) string {
			return raw(l, "GET /say?b=one|two HTTP/1.0\r\nHost: "+l.host+"\r\n\r\n", 200, "onetwo")
		}},
		{name: "a target in absolute form, on the wire", absent: only1, try: func(l *lane) string {
			return raw(l, "GET https://"+l.host+"/say?b=absolute HTTP/1.1\r\nHost: "+l.host+"\r\nConnection: close\r\n\r\n", 200, "absolute")
		}},
		{name: "Connection: close", absent: only1, try: func(l *lane) string {
			return raw(l, "GET /say?b=closed HTTP/1.1\r\nHost: "+l.host+"\r\nConnection: close\r\n\r\n", 200, "closed")
		}},
		{name: "a request in small pieces", absent: only1, try: pieces},
		{name: "WebSocket", try: webSocket, absent: map[string]string{"HTTP/2.0": "not offered (RFC 8441): browsers open an HTTP/1.1 connection, and the row below"}},
		{name: "extended CONNECT is not offered", try: notOffered, absent: map[string]string{"HTTP/1.1": "HTTP/1.1 has no such thing"}},
	}
}

// tea: 417 from the gateway (net/http's server), or what the origin makes of it.
func tea(l *lane, g got) string {
	if g.status == http.StatusOK && l.proto == "HTTP/2.0" {
		return arrived(func(*lane, saw) string { return "" })(l, g)
	}
	return status(http.StatusExpectationFailed)(l, g)
}

func early(statuses ...int) judge {
	return func(_ *lane, g got) string {
		if !slices.Equal(g.early, statuses) {
			return fmt.Sprintf("early answers %d, want %d", g.early, statuses)
		}
		return ""
	}
}

// slow is a body that does not come to its end before it is closed.
type slow struct {
	start io.Reader
	end   chan struct{}
	once  sync.Once
}

func (s *slow) Read(p []byte) (int, error) {
	if n, err := s.start.Read(p); err == nil {
		return n, nil
	}
	<-s.end
	return 0, io.ErrUnexpectedEOF
}

func (s *slow) Close() error {
	s.once.Do(func() { close(s.end) })
	return nil
}

// unfinished asks with a body that the client never sends to its end.
func (l *lane) unfinished(target string, header http.Header) (g got) {
	ctx, cancel := context.WithTimeout(context.Background(), heldTime)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: func() { g.early = append(g.early, 100) }})
	b := &slow{start: bytes.NewReader(filling(50_000)), end: make(chan struct{})}
	defer b.Close()
	defer context.AfterFunc(ctx, func() { b.Close() })()
	r := l.request(ctx, ask{method: "POST", target: target, header: header})
	r.Body, r.ContentLength = b, 1<<20
	transport := l.newTransport(l.proto)
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	if err != nil {
		return got{err: err}
	}
	defer response.Body.Close()
	g.status, g.header = response.StatusCode, response.Header
	g.body, g.err = io.ReadAll(response.Body)
	return g
}

func refusedExpect(l *lane, code int) string {
	g := l.unfinished(fmt.Sprintf("/refuse?s=%d", code), fields("Expect", "100-continue"))
	return all(status(code), body("refused"), early())(l, g)
}

// hinted asks twice, because the connection to the origin has to be fit for another request.
func hinted(l *lane) string {
	transport := l.newTransport(l.proto)
	defer transport.CloseIdleConnections()
	for range 2 {
		g := l.exchangeOver(transport, ask{target: "/hints", within: heldTime})
		if wrong := all(status(200), body("hinted"), early(103))(l, g); wrong != "" {
			return wrong
		}
	}
	return ""
}

func earlyAnswer(l *lane) string {
	g := l.unfinished("/refuse?s=413", nil)
	return all(status(413), body("refused"))(l, g)
}

func kept(l *lane) string {
	transport := l.newTransport(l.proto)
	defer transport.CloseIdleConnections()
	before := l.dials.Load()
	for i := range 100 {
		want := fmt.Sprintf("number %d", i)
		if wrong := all(status(200), body(want))(l, l.exchangeOver(transport, ask{target: telling("b=" + want)})); wrong != "" {
			return fmt.Sprintf("request %d: %s", i, wrong)
		}
	}
	if n := l.dials.Load() - before; n != 1 {
		return fmt.Sprintf("%d connections", n)
	}
	return ""
}

func atOnce(l *lane) string {
	transport := l.newTransport(l.proto)
	defer transport.CloseIdleConnections()
	var wrong atomic.Pointer[string]
	var crowd sync.WaitGroup
	before := l.dials.Load()
	if w := status(200)(l, l.exchangeOver(transport, ask{target: "/say?b=first"})); w != "" { // over HTTP/2: now there is a connection to share
		return w
	}
	door := l.app.fresh()
	for range 100 {
		crowd.Go(func() {
			if w := body("met")(l, l.exchangeOver(transport, ask{target: "/meet?n=100&door=" + door})); w != "" {
				wrong.Store(&w)
			}
		})
	}
	crowd.Wait()
	if w := wrong.Load(); w != nil {
		return *w
	}
	if n := l.dials.Load() - before; l.proto == "HTTP/2.0" && n != 1 {
		return fmt.Sprintf("%d connections", n)
	}
	return ""
}

// raw writes a request and reads one answer and the connection's end.
func raw(l *lane, request string, code int, want string) string {
	answer, content, err := l.raw(request)
	if err != nil || answer.StatusCode != code || string(content) != want {
		return fmt.Sprintf("%q, %v", content, err)
	}
	return ""
}

func (l *lane) raw(request string) (*http.Response, []byte, error) {
	c, err := l.dial()
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	io.WriteString(c, request)
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, nil, err
	}
	content, err := io.ReadAll(answer.Body)
	if _, ended := in.ReadByte(); err == nil && ended != io.EOF {
		err = fmt.Errorf("the connection goes on: %v", ended)
	}
	return answer, content, err
}

func pipeline(l *lane) string {
	c, err := l.dial()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	requests := ""
	for i := range 20 {
		requests += fmt.Sprintf("POST /say?b=%d HTTP/1.1\r\nHost: %s\r\nContent-Length: 3\r\n\r\nabc", i, l.host)
	}
	io.WriteString(c, requests)
	in := bufio.NewReader(c)
	for i := range 20 {
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			return fmt.Sprintf("answer %d: %v", i, err)
		}
		if content, err := io.ReadAll(answer.Body); string(content) != fmt.Sprint(i) {
			return fmt.Sprintf("answer %d: %q, %v", i, content, err)
		}
	}
	return ""
}

func pieces(l *lane) string {
	c, err := l.dial()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	request := "POST /say?b=whole HTTP/1.1\r\nHost: " + l.host + "\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
	for piece := range slices.Chunk([]byte(request), 7) {
		c.Write(piece)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	if content, err := io.ReadAll(answer.Body); string(content) != "whole" {
		return fmt.Sprintf("%d, %q, %v", answer.StatusCode, content, err)
	}
	return ""
}

// socket is a WebSocket server (RFC 6455) that sends every short frame back.
func socket(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || r.Header.Get("Sec-Websocket-Key") != webSocketKey {
		http.Error(w, "no WebSocket", http.StatusBadRequest)
		return
	}
	c, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+webSocketAccept+"\r\n\r\n")
	for {
		head := make([]byte, 6)
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		text := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(in, text); err != nil {
			return
		}
		for i := range text {
			text[i] ^= head[2+i%4]
		}
		c.Write(append([]byte{head[0], byte(len(text))}, text...))
	}
}

// The example of RFC 6455 section 1.3.
const (
	webSocketKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	webSocketAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

func webSocket(l *lane) string {
	c, err := l.dial()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	io.WriteString(c, "GET /socket HTTP/1.1\r\nHost: "+l.host+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+webSocketKey+"\r\n\r\n")
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return err.Error()
	}
	if answer.StatusCode != 101 || answer.Header.Get("Sec-Websocket-Accept") != webSocketAccept || answer.Header.Get("Upgrade") != "websocket" {
		return fmt.Sprintf("%d, %q", answer.StatusCode, answer.Header)
	}
	for i := range 50 {
		text := fmt.Appendf(nil, "message %d", i)
		frame := append([]byte{0x81, 0x80 | byte(len(text)), 1, 2, 3, 4}, text...)
		for j := range text {
			frame[6+j] ^= byte(1 + j%4)
		}
		c.Write(frame)
		back := make([]byte, 2+len(text))
		if _, err := io.ReadFull(in, back); err != nil || !bytes.Equal(back[2:], text) {
			return fmt.Sprintf("frame %d: %q, %v", i, back, err)
		}
	}
	return ""
}

// notOffered looks at the settings with which an HTTP/2 connection begins.
func notOffered(l *lane) string {
	if l.trusted == nil {
		return "" // directly there is no HTTP/2
	}
	c, err := l.dial()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	io.WriteString(c, http2.ClientPreface)
	framer := http2.NewFramer(c, c)
	framer.WriteSettings()
	frame, err := framer.ReadFrame()
	if err != nil {
		return err.Error()
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if value, there := settings.Value(http2.SettingEnableConnectProtocol); !ok || there && value != 0 {
		return fmt.Sprintf("%v offers it", frame)
	}
	return ""
}
