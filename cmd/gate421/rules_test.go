package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gate421/gate/guard"
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
	state := t.TempDir()
	tripped(t, state, "shop.test")
	file := fileOf(t, fmt.Sprintf(`
state: %q
certificates: {source: local}
sites: [{hosts: [shop.test, www.shop.test], origin: "http://127.0.0.1:3000", http2_crawl: refuse}]
`, state))
	const wanted = "the request is kept: shop.test refuses again when gate421 next starts (no running gateway took it up)\n"
	if got := works(t, "rules", "resume", "www.shop.test", "--config", file); got != wanted {
		t.Errorf("it says %q", got)
	}
	if waits, err := guard.Requested(state, "shop.test"); err != nil || !waits {
		t.Errorf("the request waits: %v, %v", waits, err)
	}
}

// TestRulesResumeByStateFolder is for gateways that were started in one line, without a configuration file.
func TestRulesResumeByStateFolder(t *testing.T) {
	s := newSetting(t)
	tripped(t, s.state(), "shop.test")
	s.write("sites: [{hosts: [shop.test], origin: $echo, http2_crawl: refuse}]")
	s.open()
	t.Chdir(t.TempDir()) // no gate421.yaml here
	if got := works(t, "rules", "resume", "--state", s.state(), "SHOP.test"); got != "shop.test refuses again\n" {
		t.Errorf("it says %q", got)
	}
	s.log.wait(map[string]string{"event": "guard", "what": "resumed", "site": "shop.test"})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) { // until it is on disk
		if kept, err := guard.Kept(s.state()); err == nil && len(kept) == 1 && !kept[0].Tripped {
			break
		}
	}
	fails(t, 1, `gate421: the guard of shop.test has not tripped: there is nothing to resume
hint: gate421 explain https://shop.test/ says what is done and why`, "rules", "resume", "--state", s.state(), "shop.test")
	fails(t, 1, fmt.Sprintf(`gate421: state folder %q: nothing is counted for a site "www.shop.test"
hint: name the site by its first host; those counted there: shop.test`, s.state()), "rules", "resume", "--state", s.state(), "www.shop.test")
	empty := t.TempDir()
	fails(t, 1, fmt.Sprintf(`gate421: state folder %q: nothing is counted for a site "shop.test"
hint: name the site by its first host; those counted there: none`, empty), "rules", "resume", "--state", empty, "shop.test")
	fails(t, 2, `gate421: --config and --state exclude each other: the file names the state folder
hint: gate421 --help lists the commands, gate421 COMMAND --help what each takes`, "rules", "resume", "--state", s.state(), "--config", s.file, "shop.test")
}

// TestTrippedHintIsTheWholeCommand runs what the gateway tells its operator to run.
func TestTrippedHintIsTheWholeCommand(t *testing.T) {
	s := startGateway(t, "sites: [{hosts: [shop.test], origin: $echo, http2_crawl: refuse}]")
	s.log.wait(map[string]string{"event": "start"})
	s.gateway.heardGuard(guard.Event{Site: "shop.test", What: "tripped", Refusals: 100, Since: time.Now()})
	_, rest, found := strings.Cut(s.trouble.String(), `before "gate421 `)
	command, _, ended := strings.Cut(rest, `": `)
	if !found || !ended || command != "rules resume --state "+s.state()+" shop.test" {
		t.Fatalf("the hint is %q", command)
	}
	t.Chdir(t.TempDir())
	_, _, err := quiet(t.Context(), strings.Fields(command), "")
	if exitCode(err) != 1 || !strings.Contains(message(err), "nothing is counted") {
		t.Errorf("gate421 %s: %s", command, message(err))
	}
}

func TestShellWord(t *testing.T) {
	for text, wanted := range map[string]string{
		"/var/lib/gate421": "/var/lib/gate421", "shop.test": "shop.test", "*.example.org": "'*.example.org'", "/a folder": "'/a folder'",
		"": "''", "/it's": `'/it'\''s'`,
	} {
		if got := shellWord(text); got != wanted {
			t.Errorf("%q is written %s, not %s", text, got, wanted)
		}
	}
}
