package server

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"gate421/gate/config"
	"gate421/gate/server/servertest"
)

// When the admin page's listener fails, stderr and the log say so, and it is opened again.
func TestAdminListenerFails(t *testing.T) {
	t.Parallel()
	s := startGateway(t, "admin: \"127.0.0.1:0\"\n"+`sites: [{hosts: [one.example], origin: $echo, http2_crawl: refuse}]`)
	address := s.Admin
	s.gateway.adminListener.Close()
	s.Log.Wait(map[string]string{"event": "admin", "what": "failed", "address": address,
		"error": "use_of_closed_network_connection"})
	s.Log.Wait(map[string]string{"event": "admin", "what": "recovered", "address": address})
	resp, err := http.Get("http://" + address + "/health")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	for _, words := range []string{"gate421: the admin page on " + address + " takes no connections: ",
		"gate421: the admin page answers again"} {
		for deadline := time.Now().Add(servertest.Patience); !strings.Contains(s.Stderr.String(),
			words); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("stderr does not say %q: %s", words, s.Stderr)
			}
		}
	}
}

func TestAdminListenerFailsForWantOfFiles(t *testing.T) {
	s := newSetup(t)
	s.Write(`sites: [{hosts: [one.example], origin: $echo, http2_crawl: refuse}]`)
	s.open()
	for err, hint := range map[error]string{syscall.EMFILE: "hint: this process has no file descriptor left",
		errors.New("broken"): "hint: it is opened again"} {
		said := &servertest.Transcript{}
		g := &Gateway{config: &config.Config{}, stderr: said}
		g.log.current.Store(s.gateway.log.current.Load())
		if g.onAdminListener("127.0.0.1:9421", err); !strings.Contains(said.String(), err.Error()) ||
			!strings.Contains(said.String(), hint) {
			t.Errorf("%v: %s", err, said)
		}
	}
}
