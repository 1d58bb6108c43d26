package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gate421/gate/guard"
	"gate421/gate/server/servertest"
)

// tripped puts counts into a state folder by which a site's guard has tripped.
func tripped(t *testing.T, folder, site string) {
	t.Helper()
	text := fmt.Sprintf(`{%q: {"refusals": 100, "since": "2020-01-02T03:04:05Z", "tripped": true}}`, site)
	if err := os.WriteFile(filepath.Join(folder, "guard.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRulesResumeWithoutAGateway wants no promise that nobody keeps.
func TestRulesResumeWithoutAGateway(t *testing.T) {
	s := newProgram(t)
	s.Write("sites: [{hosts: [shop.test, www.shop.test], origin: $echo, http2_crawl: refuse}]")
	s.start() // one ran here, and has left what it leaves
	s.close()
	state, file := s.State(), s.File
	tripped(t, state, "shop.test")
	const wanted = "the request is kept: shop.test refuses again when gate421 next starts (no running gateway took it " +
		"up)\n"
	if got := works(t, "rules", "resume", "www.shop.test", "--config", file); got != wanted {
		t.Errorf("it says %q", got)
	}
	if waits, err := guard.Requested(state, "shop.test"); err != nil || !waits {
		t.Errorf("the request waits: %v, %v", waits, err)
	}
}

// TestRulesResumeByStateFolder is for gateways that were started in one line, without a configuration file.
func TestRulesResumeByStateFolder(t *testing.T) {
	s := newProgram(t)
	tripped(t, s.State(), "shop.test")
	s.Write("sites: [{hosts: [shop.test], origin: $echo, http2_crawl: refuse}]")
	s.start()
	t.Chdir(t.TempDir()) // no gate421.yaml here
	if got := works(t, "rules", "resume", "--state", s.State(), "SHOP.test"); got != "shop.test refuses again\n" {
		t.Errorf("it says %q", got)
	}
	s.Log.Wait(map[string]string{"event": "guard", "what": "resumed", "site": "shop.test"})
	s.WaitFor("the count on disk has not tripped any more", func() bool {
		kept, err := guard.Kept(s.State())
		return err == nil && len(kept) == 1 && !kept[0].Tripped
	})
	fails(t, 1, `gate421: the guard of shop.test has not tripped: there is nothing to resume
hint: gate421 explain https://shop.test/ says what is done and why`, "rules", "resume", "--state", s.State(), "shop.test")
	fails(t, 1, fmt.Sprintf(`gate421: state folder %q: nothing is counted for a site "www.shop.test"
hint: name the site by its first host; those counted there: shop.test`, s.State()), "rules", "resume", "--state", s.State(), "www.shop.test")
	empty := t.TempDir()
	fails(t, 1, fmt.Sprintf(`gate421: state folder %q: nothing is counted for a site "shop.test"
hint: name the site by its first host; those counted there: none`, empty), "rules", "resume", "--state", empty, "shop.test")
	fails(t, 2, `gate421: --config and --state exclude each other: the file names the state folder
hint: gate421 --help lists the commands, gate421 COMMAND --help what each takes`, "rules", "resume", "--state", s.State(), "--config", s.File, "shop.test")
}

// TestTrippedHintIsTheWholeCommand runs what the gateway tells its operator to run.
func TestTrippedHintIsTheWholeCommand(t *testing.T) {
	s := newProgram(t)
	crawler := servertest.Local("127.0.0.2")
	s.DNS.GooglebotAt(t, crawler)
	s.Write("sites: [{hosts: [shop.test], origin: $echo, http2_crawl: refuse, guard: {refusals: 2, within: 1m}}]")
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	due := fmt.Sprintf(`{"shop.test": {"refusals": 7, "since": %q, "tripped": false}}`, since)
	if err := os.WriteFile(filepath.Join(s.State(), "guard.json"), []byte(due), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.Get(t, "https://shop.test/", crawler, "HTTP/2.0", "googlebot")
	said := regexp.MustCompile(`before "gate421 (.*)": `)
	s.WaitFor("the hint is said", func() bool { return said.MatchString(s.Stderr.String()) })
	command := said.FindStringSubmatch(s.Stderr.String())[1]
	if want := "rules resume --state " + s.State() + " shop.test"; command != want {
		t.Fatalf("the hint is %q, want %q", command, want)
	}
	t.Chdir(t.TempDir())
	if got := works(t, strings.Fields(command)...); got != "shop.test refuses again\n" {
		t.Errorf("gate421 %s says %q", command, got)
	}
}
