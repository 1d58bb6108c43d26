package server

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"gate421/gate/server/servertest"
)

// adminText is what the admin listener answers.
func (s *setup) adminText(path string) string {
	s.T.Helper()
	resp, err := http.Get("http://" + s.Admin + path)
	if err != nil {
		s.T.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return string(text)
}

// A broken origin is said once on stderr, with the cure, and is at the top of the page while it lasts.
func TestBrokenOriginIsSaid(t *testing.T) {
	t.Parallel()
	s := startGateway(t, `
admin: "127.0.0.1:0"
sites: [{hosts: [one.example], origin: "$dead", http2_crawl: refuse}]
`)
	dead := s.Origins.URL("dead")
	for range 10 {
		s.Do(t.Context(), servertest.Call{Method: http.MethodGet, URL: "https://one.example/", Proto: "HTTP/1.1",
			Agent: servertest.Browser})
	}
	const said = `gate421: site "one.example": its origin `
	text := s.Stderr.String()
	if strings.Count(text, said) != 1 || !strings.Contains(text, said+dead+" does not answer: refused: ") ||
		!strings.Contains(text, "\nhint: nothing listens there: is it running") {
		t.Errorf("stderr has %q; want once that %s does not answer, and the cure", text, dead)
	}
	if page := s.adminText("/"); !strings.Contains(page, "The origin "+dead+" of one.example does not answer") {
		t.Errorf("the page lacks the banner:\n%s", page)
	}
}

// An edit that was rejected shows on the page, in a metric and in the health answer until it is mended.
func TestRejectedEditShows(t *testing.T) {
	t.Parallel()
	const good = "admin: \"127.0.0.1:0\"\nsites: [{hosts: [one.example], origin: \"$echo\", http2_crawl: refuse}]\n"
	s := startGateway(t, good)
	states := func(want float64) {
		t.Helper()
		if got := s.scrape()["gate421_config_last_reload_successful"]; got != want {
			t.Errorf("config_last_reload_successful is %v, want %v", got, want)
		}
		page, health := s.adminText("/"), s.adminText("/health")
		if said := strings.Contains(page, "The configuration file was rejected"); said != (want == 0) {
			t.Errorf("the page says that it was rejected: %v, want %v", said, want == 0)
		}
		if said := strings.Contains(health, "the configuration file was rejected"); said != (want == 0) ||
			!strings.HasPrefix(health, "ok\n") {
			t.Errorf("health says %q; rejected is %v", health, want == 0)
		}
	}
	states(1)
	text, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.File, append(text, "siets: []\ncrwalers: []\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.reload()
	states(0)
	if page := s.adminText("/"); !strings.Contains(page, "unknown key") || !strings.Contains(page, "and 1 more problem") {
		t.Errorf("the page does not say what is wrong:\n%s", page)
	}
	if err := os.WriteFile(s.File, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.reload()
	states(1)
}
