package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const least = "sites:\n  - hosts: [example.com]\n    origin: http://127.0.0.1:3000\n    http2_crawl: refuse\n"

// contract is the example of the product's contract as it stands there, with the values that are not served yet.
const contract = `listen:
  https: ":443"
  http: ":80"
  proxy_protocol: []
  trusted_proxies: []
  client_ip_header: ""
  client_protocol_header: ""
admin: "127.0.0.1:9421"
state: "/var/lib/gate421"
certificates:
  source: acme
  email: ""
  ca: letsencrypt
  files: []
crawlers: [googlebot]
verify:
  resolver: system
  wait: 1s
  ranges: auto
log:
  file: "-"
  scope: all
  client_ip: full
  query: keep
  rotate: {size: 256MiB, keep: 14, compress: zstd}
limits: {}
sites:
  - hosts: [example.com, www.example.com]
    origin: http://127.0.0.1:3000
    origin_tls: {server_name: "", ca: "", insecure_skip_verify: false}
    http2_crawl: refuse
    refuse_with: "421"
    guard: {refusals: 100, within: 24h}
    paths:
      /downloads/: allow
      /*.pdf$: observe
`

func TestEveryKeyOfTheContractIsKnown(t *testing.T) {
	if _, err := Parse("gate421.yaml", []byte(contract), catalogue()); err != nil {
		t.Errorf("%v", err)
	}
	r := &reader{}
	root := r.yaml([]byte(contract))
	var walk func(n *node, section string)
	walk = func(n *node, section string) {
		for _, item := range n.items {
			walk(item, section)
		}
		if n.kind != mapping || section == "paths" {
			return
		}
		for _, e := range n.entries {
			if !isKey(section, e.key.text) {
				t.Errorf("section %q: key %q is not known", section, e.key.text)
			}
			walk(e.value, e.key.text)
		}
	}
	walk(root, "")
}

// No key that is known may be read over: a value that is wrong for every key is a problem at each of them.
func TestEveryKnownKeyIsRead(t *testing.T) {
	places := map[string]string{
		"": "KEY: VALUE\n" + least, "listen": "listen: {KEY: VALUE}\n" + least, "certificates": "certificates: {KEY: VALUE}\n" + least,
		"verify": "verify: {KEY: VALUE}\n" + least, "log": "log: {KEY: VALUE}\n" + least, "limits": "limits: {KEY: VALUE}\n" + least,
		"files":      "certificates: {source: files, files: [{cert: a, key: b, KEY: VALUE}]}\n" + least,
		"sites":      "sites: [{KEY: VALUE}]\n",
		"origin_tls": strings.Replace(least, "http:", "https:", 1) + "    origin_tls: {KEY: VALUE}\n",
		"guard":      least + "    guard: {KEY: VALUE}\n",
	}
	for section, text := range places {
		for _, key := range names(section) {
			text := strings.NewReplacer("KEY", key, "VALUE", "-1.5").Replace(text)
			text = strings.Replace(text, map[string]string{"cert": "cert: a, ", "key": "key: b, "}[key], "", 1)
			if section == "" && key == "sites" {
				text = "sites: -1.5\n"
			}
			_, err := Parse("x.yaml", []byte(text), catalogue())
			if err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), ": -1.5") {
				t.Errorf("section %q, key %q: %v", section, key, err)
			}
		}
	}
}

func TestDuration(t *testing.T) {
	accept := map[string]time.Duration{
		"1s": time.Second, "24h": 24 * time.Hour, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "0d1m": time.Minute,
		"1.5h": 90 * time.Minute, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "2d0s": 48 * time.Hour,
	}
	for s, want := range accept {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "1", "d", "-1d", "1.5d", "1d-1h", "1d+1h", "1d1d", "1d48h", "1 d", "1h1d", "1w", "one"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q: accepted as %v", s, got)
		}
	}
	spelled := map[time.Duration]string{
		time.Minute: "1m", 24 * time.Hour: "24h", 720 * time.Hour: "30d", 100 * time.Millisecond: "100ms", 90 * time.Second: "1m30s",
	}
	for d, want := range spelled {
		if got := spellDuration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	accept := map[string]int64{"0B": 0, "32768B": 32768, "256KiB": 256 << 10, "2MiB": 2 << 20, "3GiB": 3 << 30}
	for s, want := range accept {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "1", "B", "KiB", "1KB", "1 KiB", "1.5MiB", "-1B", "+1B", "1kib", "1TiB", "0x10B"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q: accepted as %v", s, got)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"hosts", "origin", "http2_crawl", "googlebot"}
	tests := map[string]string{
		"host": "hosts", "Hosts": "hosts", "orgiin": "origin", "http2-crawl": "http2_crawl", "http2crawl": "http2_crawl",
		"Googlebot": "googlebot", "googlbot": "googlebot", "x": "", "": "", "bingbot": "", "level": "", strings.Repeat("origin", 99): "",
	}
	for s, want := range tests {
		if got := Nearest(s, words); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestManyProblemsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "key%d: %s\n", i, strings.Repeat("x", 100))
	}
	_, err := Parse("x.yaml", []byte(b.String()), catalogue())
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != maxProblems+1 {
		t.Fatalf("%d problems", len(problems))
	}
	if last := problems[maxProblems]; last.Line != 101 ||
		last.Message != "more problems follow; mend the ones above first" {
		t.Errorf("last is %v", last)
	}
}

// What would take a YAML parser minutes or its whole stack is refused at once.
func TestHostileShapes(t *testing.T) {
	full := func(s string) string { return strings.Repeat(s, maxFileBytes/4/len(s)) }
	shapes := map[string]string{
		"keys": full("a: b\n"), "brackets": full("["), "braces": full("{a: "), "dashes": full("- "), "questions": full("? "),
		"colons": full(": "), "empty values": full("a:\n"), "commas": "a: [" + full("x,") + "]", "quotes": full("'"),
		"lines": full("\n"), "comments": full("#\n"), "text": full("x"), "spaces": "a: x" + full(" ") + "y",
		"anchors": full("&a "), "stars": full("*a "), "tags": full("! "), "documents": full("---\n"), "pipes": "a: |\n" + full(" x\n"),
		"steps": func() string {
			var b strings.Builder
			for i := 0; b.Len()+i+4 < maxFileBytes/4; i++ {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(),
	}
	for name, text := range shapes {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse("x.yaml", []byte(text), catalogue())
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			checkProblems(t, []byte(text), err)
			if err == nil || len(err.Error()) > 200_000 {
				t.Errorf("%d bytes of problems", len(fmt.Sprint(err)))
			}
		})
	}
}

// checkProblems holds every problem to the file it is about.
func checkProblems(t *testing.T, text []byte, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var problems Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("error %T %v is not Problems", err, err)
	}
	s := strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(string(text), "\ufeff"), "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(s, "\n")
	last := Problem{}
	for _, p := range problems {
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 {
			t.Fatalf("%d:%d is outside the file: %s", p.Line, p.Column, p.Message)
		}
		if byPosition(last, p) > 0 {
			t.Fatalf("%d:%d comes after %d:%d", p.Line, p.Column, last.Line, last.Column)
		}
		last = p
		if p.Message == "" || p.File == "" || strings.ContainsAny(p.Message+p.Hint, "\n\x00\x1b") {
			t.Fatalf("problem %+v", p)
		}
	}
	for _, c := range err.Error() {
		if c != '\n' && c < ' ' || c == 0x7f {
			t.Fatalf("control character %q in %q", c, err.Error())
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("x.yaml", text, catalogue())
		checkProblems(t, text, err)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if err == nil {
			if _, err := c.Policy(); err != nil {
				t.Fatalf("the policy refuses what Parse accepts: %v", err)
			}
		}
	})
}
