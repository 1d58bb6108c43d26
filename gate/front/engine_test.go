//go:build !go1.27

package front

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"
)

// From Go 1.27 on x/net hands over to net/http, which has no copy of its own any more.
func TestHTTP2IsServedByXNet(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Handler: text(func(w http.ResponseWriter, _ *http.Request) string {
		if ours, ok := w.(*http2Response); ok {
			w = ours.Unwrap()
		}
		return fmt.Sprintf("%T of %s", w, reflect.TypeOf(w).Elem().PkgPath())
	})})
	both(t, func(t *testing.T, http2 bool) {
		proto, want := "HTTP/1.1", "*server.response of gate421/gate/http1/server"
		if http2 {
			proto, want = "HTTP/2.0", "*http2.responseWriter of golang.org/x/net/http2"
		}
		if answer, body := get(t, d.client(t, http2), "https://one.example/"); answer.Proto != proto || body != want {
			t.Errorf("%s by %s, want %s by %s", answer.Proto, body, proto, want)
		}
	})
}
