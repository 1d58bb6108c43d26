package origin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A request whose client has left before the answer has not ended while its server works on it: Serve returns at once, and its error
// says when that is.
func TestServerWorksOnForNobody(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 1), make(chan struct{})
	h := func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release // and the client's leaving is not looked for
	}
	o, err := New(Config{Servers: []string{handling(t, h)}})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	r.Host = "shop.example"
	go func() {
		<-asked
		leave()
	}()
	_, _, _, err = o.Serve(httptest.NewRecorder(), r)
	var later interface{ Ended() <-chan struct{} }
	if got := (outcome{err: err}); got.word() != ClientGone || !errors.As(err, &later) {
		t.Fatalf("%+v", got)
	}
	select {
	case <-later.Ended():
		t.Error("it has ended while the server works")
	case <-time.After(2 * abandonedTime):
	}
	close(release)
	receive(t, later.Ended())
}

// Nobody is asked for a client that has left before.
func TestClientHasLeft(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"http": handling(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }),
		"h2c":  serveH2C(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }),
	} {
		o, err := New(Config{Servers: []string{url}})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		ctx, leave := context.WithCancel(t.Context())
		leave()
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		r.Host = "shop.example"
		if _, _, _, err := o.Serve(httptest.NewRecorder(), r); (outcome{err: err}).word() != ClientGone {
			t.Errorf("%s: %v", name, err)
		}
	}
}
