package origin

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// bare is a context that knows of no http.Server, as the door's are over HTTP/1.1.
type bare struct{ context.Context }

// Value serves context.Context.
func (b bare) Value(key any) any {
	if key == http.ServerContextKey {
		return nil
	}
	return b.Context.Value(key)
}

// A client that has ended its side while an HTTP/2 server answers must not take half an answer for a whole one.
func TestHalfClosedClientOfHTTP2Server(t *testing.T) {
	begun := make(chan bool, 1)
	o, err := New(Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		begun <- true
	})}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	outcomes := make(chan outcome, 1)
	g := openHandler(t, func(w http.ResponseWriter, r *http.Request) error {
		var result outcome
		result.asked, result.status, result.first, result.err = o.Serve(w, r.WithContext(bare{r.Context()}))
		outcomes <- result
		return result.err
	}, false)
	c, r := g.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	var heard bytes.Buffer
	for !strings.HasSuffix(heard.String(), "part\r\n") {
		line, err := r.ReadString('\n')
		if heard.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	c.(*net.TCPConn).CloseWrite()
	io.Copy(&heard, r)
	if strings.HasSuffix(heard.String(), "0\r\n\r\n") {
		t.Errorf("half an answer looks whole: %q", heard.String())
	}
	if result := receive(t, outcomes); result.word() != ClientGone || !result.cut() {
		t.Errorf("%+v", result)
	}
	receive(t, begun)
}
