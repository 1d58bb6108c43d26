package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"gate421/gate/config"
	"gate421/gate/hint"
	"gate421/gate/policy"

	"github.com/alecthomas/kong"
)

// read is a file of the house, by its path from the top.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// understood says whether the program's grammar takes a command line, without running it.
func understood(t *testing.T, line string) error {
	t.Helper()
	line, _, _ = strings.Cut(line, " # ")
	var grammar commands
	parser, err := kong.New(&grammar, kong.Name("gate421"), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, word := range regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`).FindAllString(line, -1) {
		words = append(words, strings.Trim(word, `"'`))
	}
	_, err = parser.Parse(words)
	return err
}

// commandLines finds what calls the program in a text, in a fenced block or on a line that is only code.
func commandLines(text string) []string {
	var lines []string
	for _, found := range regexp.MustCompile(`(?m)^(?:    |\$ |ExecStart(?:Pre)?=)?(?:/usr/bin/gate421|gate421|\./gate421|go run \./cmd/gate421) +([a-z].*)$`).FindAllStringSubmatch(text, -1) {
		lines = append(lines, found[1])
	}
	return lines
}

func fenced(text string) string {
	var blocks []string
	for i, part := range strings.Split(text, "```") {
		if i%2 == 1 {
			blocks = append(blocks, part)
		}
	}
	return strings.Join(blocks, "\n")
}

func TestReadmeCommands(t *testing.T) {
	text := read(t, "README.md")
	lines := commandLines(fenced(text))
	if len(lines) < 5 {
		t.Fatalf("only %d commands found in README.md: %q", len(lines), lines)
	}
	for _, line := range lines {
		if err := understood(t, line); err != nil {
			t.Errorf("README.md: gate421 %s: %v", line, err)
		}
	}
	seen := strings.Join(lines, "\n")
	for _, command := range []string{"demo", "run", "check", "explain", "verify", "audit report", "audit show", "audit tail"} {
		if !strings.Contains("\n"+seen, "\n"+command) {
			t.Errorf("README.md does not show %s", command)
		}
	}
	for _, inline := range regexp.MustCompile("`gate421 ([a-z]+)[^`]*`").FindAllStringSubmatch(text, -1) {
		if _, known := helps()[inline[1]]; !known {
			t.Errorf("README.md speaks of gate421 %s, which does not exist", inline[1])
		}
	}
	if err := understood(t, "run --no-such-flag"); err == nil {
		t.Error("the test takes flags that do not exist")
	}
}

func TestReadmeLinks(t *testing.T) {
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(read(t, "README.md"), -1) {
		if strings.Contains(link[1], "://") || strings.HasPrefix(link[1], "#") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(link[1]))); err != nil {
			t.Errorf("README.md links to %s: %v", link[1], err)
		}
	}
}

// TestReadmeDecisions holds the README's table to the reasons there are, in their order.
func TestReadmeDecisions(t *testing.T) {
	var got []policy.Reason
	for _, row := range regexp.MustCompile("(?m)^\\|.*\\| `([a-z0-9_]+)` \\|$").FindAllStringSubmatch(read(t, "README.md"),
		-1) {
		got = append(got, policy.Reason(row[1]))
	}
	wanted := []policy.Reason{policy.UnknownHost, policy.Misdirected, policy.HTTP1, policy.NoClaim, policy.Allowed,
		policy.Impostor,
		policy.Unverified, policy.Guard, policy.Observed, policy.LogUnavailable, policy.Refused}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("README.md has the reasons %v, the program %v", got, wanted)
	}
}

// TestDeployedCommands parses what the files of deploy call.
func TestDeployedCommands(t *testing.T) {
	found := 0
	err := filepath.WalkDir(filepath.Join("..", "..", "deploy"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, line := range commandLines(string(text)) {
			found++
			if err := understood(t, line); err != nil {
				t.Errorf("%s: gate421 %s: %v", path, line, err)
			}
		}
		if entry := regexp.MustCompile(`(?m)^CMD \[(.*)\]$`).FindSubmatch(text); entry != nil {
			found++
			if err := understood(t, strings.ReplaceAll(string(entry[1]), ",", " ")); err != nil {
				t.Errorf("%s: %s: %v", path, entry[0], err)
			}
		}
		return err
	})
	if err != nil || found < 3 {
		t.Errorf("%d commands found below deploy, %v", found, err)
	}
}

// TestExampleConfiguration holds the example to the table of keys: each stands in its section, in words or in a
// comment, with its default, and what the program makes of the file is what it makes of the shortest one.
func TestExampleConfiguration(t *testing.T) {
	const path = "deploy/gate421.yaml"
	text := read(t, path)
	for _, k := range config.Keys() {
		top := topLevel(k)
		part := text
		if k.Section != "" {
			_, part, _ = strings.Cut("\n"+text, "\n"+top+":")
			if end := regexp.MustCompile(`(?m)^[a-z]`).FindStringIndex(part); end != nil {
				part = part[:end[0]]
			}
		}
		written := `\b` + k.Name + `\b`
		if k.Default != "" {
			written = `\b` + k.Name + `:\s+"?` + regexp.QuoteMeta(k.Default) + `"?(?:[\s,};]|$)`
		}
		if !regexp.MustCompile(written).MatchString(part) {
			t.Errorf("%s: the key %s is not in %q, or not with its default %q", path, k.Name, top, k.Default)
		}
	}
	example, err := config.Load(filepath.Join("..", "..", filepath.FromSlash(path)), crawlerNames())
	if err != nil {
		t.Fatalf("%s", hint.Message(err))
	}
	for _, site := range example.Sites {
		if site.HTTP2Crawl != policy.Observe {
			t.Errorf("%s: site %s begins with %s, not with observe", path, site.Hosts[0], site.HTTP2Crawl)
		}
		for _, rule := range site.Paths {
			if rule.State == policy.Refuse {
				t.Errorf("%s: path %s refuses, but nothing may be refused to begin with", path, rule.Pattern)
			}
		}
	}
	// Every value but the sites is the default.
	least, err := config.Parse("least.yaml",
		[]byte("sites: [{hosts: [example.com], origin: http://127.0.0.1:3000, http2_crawl: observe}]"), crawlerNames())
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string][2]any{
		"listen": {fmt.Sprint(example.Listen), fmt.Sprint(least.Listen)}, "admin": {example.Admin, least.Admin},
		"state":        {example.State, least.State},
		"certificates": {fmt.Sprint(example.Certificates), fmt.Sprint(least.Certificates)},
		"crawlers":     {fmt.Sprint(example.Crawlers), fmt.Sprint(least.Crawlers)},
		"verify":       {example.Verify, least.Verify}, "log": {example.Log, least.Log}, "limits": {example.Limits, least.Limits},
		"origin_tls": {example.Sites[0].OriginTLS, least.Sites[0].OriginTLS},
		"guard":      {*example.Sites[0].Guard, *least.Sites[0].Guard},
	} {
		if values[0] != values[1] {
			t.Errorf("%s: %s is %v, the default is %v", path, name, values[0], values[1])
		}
	}
}

// topLevel is the key at the left margin that a key stands below.
func topLevel(k config.Key) string {
	switch k.Section {
	case "authority", "eab", "dns", "files":
		return "certificates"
	case "rotate":
		return "log"
	case "origin_tls", "guard":
		return "sites"
	}
	return k.Section
}
