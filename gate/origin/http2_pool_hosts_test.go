package origin

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// Hosts may be the clients' choice: connections to an HTTP/2 server are bounded as those of HTTP/1.1 are.
func TestHostsWithoutEndOverHTTP2(t *testing.T) {
	a := newAuthority(t)
	var now, most atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS, s.EnableHTTP2 = a.issue(t, time.Now().Add(time.Hour), "*.shop.example"), true
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			most.Store(max(most.Load(), now.Add(1)))
		case http.StateClosed:
			now.Add(-1)
		}
	}
	s.StartTLS()
	defer s.Close()
	o, err := New(Config{Servers: []string{"h2://" + s.Listener.Addr().String()}, CA: a.file})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	const hosts, room = 60, 20
	o.list.servers[0].http2.pool.count = idleConns - room // the others are elsewhere
	for i := range hosts {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = fmt.Sprintf("h%d.shop.example", i)
		if _, status, _, err := o.Serve(httptest.NewRecorder(), r.WithContext(t.Context())); err != nil ||
			status != 200 {
			t.Fatal(status, err)
		}
	}
	if most.Load() > room+5 {
		t.Errorf("%d connections for %d hosts, none of which is in use", most.Load(), hosts)
	}
}
