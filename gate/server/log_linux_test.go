package server

import (
	"net/http"
	"strings"
	"testing"
)

// TestLogOnAFullDisk has the device that is always full for a log: nobody is refused, everybody is served.
func TestLogOnAFullDisk(t *testing.T) {
	t.Parallel()
	s := startGateway(t, `
log: {file: /dev/full}
sites: [{hosts: [shop.test], origin: $echo, http2_crawl: refuse}]
`)
	for range 3 {
		for _, agent := range []string{"googlebot", "browser"} {
			for _, proto := range []string{"HTTP/2.0", "HTTP/1.1"} {
				if got := s.Get(t, "https://shop.test/", "127.0.0.2", proto, agent); got.Status != http.StatusOK {
					t.Errorf("%s over %s gets %d", agent, proto, got.Status)
				}
			}
		}
	}
	if s.gateway.log.Ready() {
		t.Error("the log says that it takes lines")
	}
	s.end()
	if err := <-s.ended; err == nil || !strings.Contains(err.Error(), "are missing at its end") {
		t.Errorf("the gateway ended with %v, and did not say what is missing", err)
	}
	s.gateway = nil
}
