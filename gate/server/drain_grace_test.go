package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gate421/gate/admin"
	"gate421/gate/config"
	"gate421/gate/server/servertest"
)

// From the end's first moment on the gateway says that it is not ready, and takes new connections all the same.
func TestNotReadyBeforeTheEnd(t *testing.T) {
	t.Parallel()
	s := startGateway(t, `
admin: "127.0.0.1:0"
limits: {drain_grace: 10m, drain_time: 2s}
sites: [{hosts: [one.example], origin: $echo, http2_crawl: refuse}]
`)
	ready := func(path string) string { return s.page(path) }
	if got := ready("/readyz"); got != "200 ok\n" {
		t.Fatalf("ready: %q", got)
	}
	s.end()
	s.WaitFor("it is not ready", func() bool { return ready("/readyz") == "503 not serving: draining\n" })
	for _, proto := range []string{"HTTP/2.0", "HTTP/1.1"} {
		if got := s.Get(t, "https://one.example/", "127.0.0.1", proto, "browser"); got.Status != http.StatusOK {
			t.Errorf("a new connection over %s gets %d", proto, got.Status)
		}
	}
	if got := ready("/livez") + ready("/health"); got != "200 ok\n503 not serving: draining\n" {
		t.Errorf("alive, healthy: %q", got)
	}
	if said := s.Stderr.String(); !strings.Contains(said,
		"gate421: not ready any more; new connections are taken for another 10m0s") {
		t.Errorf("stderr: %s", said)
	}
	s.gateway.httpsListener.Close() // nobody waits an hour
	if err := <-s.ended; err == nil {
		t.Error("the gateway ended without an error, although its listener had failed")
	}
	s.gateway = nil
}

func TestGrace(t *testing.T) {
	for name, test := range map[string]struct {
		configured time.Duration
		asked      time.Duration // before the end; 0: never
		want       time.Duration
	}{
		"the default, and nobody asks":         {5 * time.Second, 0, 0},
		"the default, and somebody asks":       {5 * time.Second, 10 * time.Second, 5 * time.Second},
		"the default, and somebody asked once": {5 * time.Second, 2 * time.Minute, 0},
		"none, and somebody asks":              {0, time.Second, 0},
		"long, and nobody asks":                {time.Minute, 0, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := &Gateway{config: &config.Config{Limits: config.Limits{DrainGrace: test.configured}},
				admin: admin.New(admin.Config{}), stderr: &servertest.Transcript{}}
			if test.asked > 0 {
				g.admin.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://localhost/readyz", nil))
				time.Sleep(test.asked)
			}
			ctx, end := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, end)
			start := time.Now()
			g.awaitDrain(ctx, t.Context())
			if got := time.Since(start) - time.Second; got != test.want || g.ready() == nil {
				t.Errorf("%s: %v, want %v; serves: %v", name, got, test.want, g.ready())
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		g := &Gateway{config: &config.Config{Limits: config.Limits{DrainGrace: time.Hour}}, admin: admin.New(admin.Config{}),
			stderr: &servertest.Transcript{}}
		taking, failed := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, failed)
		if g.awaitDrain(t.Context(), taking); g.ready() != nil {
			t.Error("a listener that fails is no end")
		}
	})
}
