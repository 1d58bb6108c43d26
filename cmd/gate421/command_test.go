package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"gate421/gate/hint"
)

// fails runs a command that has to fail, and compares its exit code and every line that the user reads. What it printed
// to standard output is returned.
func fails(t *testing.T, code int, wanted string, args ...string) string {
	t.Helper()
	out, stderr, err := quiet(t.Context(), args, "")
	if err == nil {
		t.Fatalf("gate421 %s: no error, output %q", strings.Join(args, " "), out)
	}
	got := stderr + hint.Message(err)
	if exitCode(err) != code || got != wanted {
		t.Errorf("gate421 %s: exit %d\n%s\nwanted exit %d\n%s", strings.Join(args, " "), exitCode(err), got, code, wanted)
	}
	return out
}

// works runs a command that has to succeed without a word on stderr, and returns its output.
func works(t *testing.T, args ...string) string {
	t.Helper()
	out, stderr, err := quiet(t.Context(), args, "")
	if err != nil || exitCode(err) != 0 || stderr != "" {
		t.Fatalf("gate421 %s: exit %d %v, stderr %q", strings.Join(args, " "), exitCode(err), err, stderr)
	}
	return out
}

// fileOf puts text into a file of its own.
func fileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate421.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsage(t *testing.T) {
	const lists = "\nhint: gate421 --help lists the commands, gate421 COMMAND --help what each takes"
	for _, test := range []struct{ args, wanted string }{
		{"serve", `gate421: unexpected argument serve` + lists},
		{"run --port 443", `gate421: unknown flag --port, did you mean "--host"?` + lists},
		{"check now", `gate421: unexpected argument now` + lists},
		{"explain", `gate421: expected "<URL>"` + lists},
		{"explain https://shop.test/ --http 3", `gate421: --http must be one of "1.1","2" but got "3"` + lists},
		{"rules", `gate421: expected one of "list", "resume"` + lists},
		{"rules resume", `gate421: expected "<HOST>"` + lists},
		{"demo --twice", `gate421: unknown flag --twice` + lists},
		{"version --long", `gate421: unknown flag --long` + lists},
		{"verify", `gate421: no address given` + lists},
	} {
		_, _, err := quiet(t.Context(), strings.Fields(test.args), "")
		if err == nil {
			t.Errorf("gate421 %s: no error", test.args)
			continue
		}
		first, _, _ := strings.Cut(test.wanted, ",")
		if exitCode(err) != 2 || !strings.HasPrefix(hint.Message(err), first) ||
			!strings.HasSuffix(hint.Message(err), lists) {
			t.Errorf("gate421 %s: exit %d\n%s\nwanted exit 2\n%s", test.args, exitCode(err), hint.Message(err), test.wanted)
		}
	}
}

func TestExitCode(t *testing.T) {
	plain := errors.New("it broke")
	for _, test := range []struct {
		err  error
		code int
	}{
		{nil, 0}, {plain, 1}, {hint.Add(plain, "mend it"), 1}, {usageError(plain), 2},
		{fmt.Errorf("again: %w", usageError(plain)), 2}, {reportedError{}, 1}, {reportedError{plain}, 1},
	} {
		if got := exitCode(test.err); got != test.code {
			t.Errorf("exit code of %v is %d, want %d", test.err, got, test.code)
		}
	}
	if got := hint.Message(usageError(plain)); got != "gate421: it broke\n"+
		"hint: gate421 --help lists the commands, gate421 COMMAND --help what each takes" {
		t.Errorf("a usage error reads %q, want the hint to --help", got)
	}
	if got := (reportedError{}).Error(); got != "" {
		t.Errorf("a failure that was told already says %q, want nothing", got)
	}
}

// helps is what a user finds under COMMAND --help: the flags of the contract, and the words that explain the command.
func helps() map[string][]string {
	return map[string][]string{
		"": {"run", "demo", "check", "explain", "verify", "rules", "audit", "version", "421", "Googlebot"},
		"run": {"--config", "--host", "--origin", "--email", "--http2-crawl", "--state", "refuse", "observe", "allow",
			"SIGTERM", "SIGHUP", "443",
			"gate421 run --host example.com --origin http://127.0.0.1:3000"},
		"demo":    {"--once", "loopback"},
		"check":   {"--config", "--live", "every problem", "Exit 0"},
		"explain": {"URL", "--config", "--from", "--agent", "--http", "--json", "1.1"},
		"verify": {"IP", "--crawler", "--resolver", "--json", "--list", "reverse name", "standard input",
			"Exit 0 only if all"},
		"rules":        {"list", "resume"},
		"rules list":   {"--config", "--json"},
		"rules resume": {"HOST", "--config", "--state"},
		"version":      {"--json"},
		"audit":        {"report", "show", "tail", "standard input"},
		"audit report": {"FILE", "--config", "--since", "--until", "--site", "--path", "--format", "--json", "--rows",
			"--output", "7d", "HTTP/1.1", "html"},
		"audit show": {"FILE", "--config", "--since", "--until", "--site", "--path", "--request-id", "--reason",
			"--crawler", "--client", "--json"},
		"audit tail": {"FILE", "--config", "--lines", "--no-follow", "--since", "--site", "--json", "Ctrl-C", "rotated"},
	}
}

func TestHelp(t *testing.T) {
	jargon := regexp.MustCompile(`(?i)\b(nil|goroutine|struct|panic|context|stdlib|handler|interface|runtime|regexp|enum|bool|int|godoc|kong|PTR|FCrDNS|ALPN|argv?|string)\b|%!|\$\{`)
	for command, wanted := range helps() {
		out := works(t, append(strings.Fields(command), "--help")...)
		words := strings.Join(strings.Fields(out), " ")
		for _, word := range wanted {
			if !strings.Contains(strings.ToLower(words), strings.ToLower(word)) {
				t.Errorf("gate421 %s --help does not mention %q:\n%s", command, word, out)
			}
		}
		if found := jargon.FindString(out); found != "" {
			t.Errorf("gate421 %s --help says %q, which is no word of a site owner's:\n%s", command, found, out)
		}
		for _, line := range strings.Split(out, "\n") {
			if len([]rune(line)) > 130 {
				t.Errorf("gate421 %s --help has a line of %d characters: %s", command, len([]rune(line)), line)
			}
		}
	}
	for typed, meant := range map[string]string{
		"help": "--help", "-h": "--help", "-help": "--help", "help run": "run --help", "run help": "run --help",
		"help audit report": "audit report --help", "--version": "version", "-V": "version", "-v": "version",
		"--version --json": "version --json",
	} {
		if got, want := works(t, strings.Fields(typed)...), works(t, strings.Fields(meant)...); got != want {
			t.Errorf("gate421 %s says\n%s\nwant what %s says", typed, got, meant)
		}
	}
	if bare, asked := works(t), works(t, "--help"); bare != asked {
		t.Error("without arguments gate421 does not say what --help says")
	}
}

func TestVersion(t *testing.T) {
	text := works(t, "version")
	wanted := regexp.MustCompile(`^gate421 \S+\n` + regexp.QuoteMeta(runtime.Version()) + ` ` + runtime.GOOS + `/` + runtime.GOARCH + `\ncommit \S+( with changes)?\n$`)
	if !wanted.MatchString(text) {
		t.Errorf("version says %q, want %s", text, wanted)
	}
	var asJSON map[string]string
	if err := json.Unmarshal([]byte(works(t, "version", "--json")), &asJSON); err != nil {
		t.Fatal(err)
	}
	if asJSON["version"] == "" || asJSON["go"] != runtime.Version() || asJSON["commit"] == "" || len(asJSON) != 3 {
		t.Errorf("version --json says %v, want version, go and commit", asJSON)
	}
}

func TestRulesList(t *testing.T) {
	file := fileOf(t, `
certificates: {source: local}
sites:
  - {hosts: [shop.test, www.shop.test], origin: "http://127.0.0.1:3000", http2_crawl: refuse, paths: {/downloads/: allow, "/*.pdf$": observe}}
  - {hosts: [blog.test], origin: "http://127.0.0.1:3001", http2_crawl: observe, paths: {"/robots.txt$": refuse}}
`)
	wanted := `SITE       RULE                          STATE    
shop.test  http2_crawl                   refuse   
shop.test  /downloads/                   allow    
shop.test  /*.pdf$                       observe  
shop.test  /robots.txt$                  allow    built in
shop.test  /.well-known/acme-challenge/  allow    built in
blog.test  http2_crawl                   observe  
blog.test  /robots.txt$                  refuse   
blog.test  /.well-known/acme-challenge/  allow    built in
`
	if got := works(t, "rules", "list", "--config", file); got != wanted {
		t.Errorf("rules list says\n%s\nwanted\n%s", got, wanted)
	}
	lines := strings.Split(strings.TrimSpace(works(t, "rules", "list", "-c", file, "--json")), "\n")
	if len(lines) != 8 || lines[0] != `{"site":"shop.test","rule":"http2_crawl","state":"refuse","built_in":false}` ||
		lines[7] != `{"site":"blog.test","rule":"/.well-known/acme-challenge/","state":"allow","built_in":true}` {
		t.Errorf("rules list --json says %q, want a line for each of 8 rules", lines)
	}
}

func TestRulesResumeHasNothingToResume(t *testing.T) {
	state := t.TempDir()
	file := fileOf(t, fmt.Sprintf(`
state: %q
certificates: {source: local}
sites: [{hosts: [shop.test], origin: "http://127.0.0.1:3000", http2_crawl: refuse}]
`, state))
	fails(t, 1, `gate421: no site of the configuration has the host "elsewhere.test"
hint: gate421 rules list shows the sites`, "rules", "resume", "elsewhere.test", "--config", file)
	fails(t, 1, `gate421: the guard of shop.test has not tripped: there is nothing to resume
hint: gate421 explain https://shop.test/ says what is done and why`, "rules", "resume", "SHOP.test", "--config", file)
	if err := os.WriteFile(filepath.Join(state, "guard.json"), []byte(`{"shop.test":`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := quiet(t.Context(), []string{"rules", "resume", "shop.test", "--config", file}, "")
	if exitCode(err) != 1 || !strings.Contains(hint.Message(err), "guard.json") {
		t.Errorf("a broken count: exit %d, %s; want exit 1 and the file", exitCode(err), hint.Message(err))
	}
}

func TestNoConfiguration(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	for _, command := range []string{"run", "check", "rules list", "rules resume shop.test",
		"explain https://shop.test/"} {
		fails(t, 1, fmt.Sprintf(`gate421: configuration %q cannot be read: no such file or directory
hint: name the file with --config FILE; deploy/gate421.yaml is an example to begin with`, missing), append(strings.Fields(command), "--config", missing)...)
	}
	t.Chdir(t.TempDir())
	for _, command := range []string{"check", "rules list", "explain https://shop.test/"} {
		fails(t, 1, `gate421: configuration "gate421.yaml" cannot be read: no such file or directory
hint: name the file with --config FILE; deploy/gate421.yaml is an example to begin with`, strings.Fields(command)...)
	}
	fails(t, 2, `gate421: nothing to serve: there is no gate421.yaml in this folder
hint: gate421 run --config FILE, or in one line: gate421 run --host example.com --origin http://127.0.0.1:3000`, "run")
}

// TestDemoCommand is the command with its flag, as the README has it.
func TestDemoCommand(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"TMPDIR", "TEMP", "TMP"} {
		t.Setenv(name, folder)
	}
	if out := works(t, "demo", "--once"); !strings.HasSuffix(out,
		"\nEvery decision was as it should be, and each is a line of the decision log.\n") {
		t.Errorf("demo --once says %s\nwant it to end with every decision right", out)
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("the demo left %v, want nothing", left)
	}
}
