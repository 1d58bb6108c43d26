package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"gate421/gate/policy"
)

// catalogue stands for the crawlers that exist.
func catalogue() []string { return []string{"googlebot", "googlebot-image", "googleother"} }

func namesOf(t *testing.T, pattern string, atLeast int) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) < atLeast {
		t.Fatalf("%s: %d files, want at least %d (%v)", pattern, len(names), atLeast, err)
	}
	return names
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every bad file has beside it the exact text that its owner reads.
func TestBad(t *testing.T) {
	for _, name := range namesOf(t, "testdata/bad/*.yaml", 140) {
		c, err := Parse(filepath.Base(name), read(t, name), catalogue())
		if c != nil || err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		want := string(read(t, strings.TrimSuffix(name, ".yaml")+".txt"))
		if got := err.Error() + "\n"; got != want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", name, got, want)
		}
	}
	for _, name := range namesOf(t, "testdata/bad/*.txt", 140) {
		read(t, strings.TrimSuffix(name, ".txt")+".yaml")
	}
}

// What a golden text must have, so that none is accepted unread that lacks it.
func TestBadTextsSayWhatAndWhere(t *testing.T) {
	first := regexp.MustCompile(`^[a-z0-9_]+\.yaml:[1-9][0-9]*:[1-9][0-9]*: \S`)
	for _, name := range namesOf(t, "testdata/bad/*.txt", 140) {
		for line := range strings.Lines(string(read(t, name))) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case first.MatchString(line), strings.HasPrefix(line, "    "), strings.HasPrefix(line, "hint: "):
			default:
				t.Errorf("%s: line %q is neither position and message nor source nor hint", name, line)
			}
			if strings.ContainsAny(line, "\x00\x1b\r\t") || strings.Contains(line, "%!") {
				t.Errorf("%s: line %q", name, line)
			}
		}
	}
}

func TestGood(t *testing.T) {
	for _, name := range namesOf(t, "testdata/good/*.yaml", 12) {
		c, err := Load(name, catalogue())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := c.Policy(); err != nil {
			t.Errorf("%s: policy: %v", name, err)
		}
		if c.File != name || len(c.Version) != 12 {
			t.Errorf("%s: file %q, version %q", name, c.File, c.Version)
		}
	}
}

func good(t *testing.T, name string) *Config {
	t.Helper()
	c, err := Load("testdata/good/"+name+".yaml", catalogue())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// standard is testdata/good/least.yaml with every default spelled out.
func standard() Config {
	return Config{
		Listen: Listen{HTTPS: ":443", HTTP: ":80"}, Admin: "127.0.0.1:9421", State: "/var/lib/gate421",
		Certificates: Certificates{
			Source:      "acme",
			CAs:         []CA{{Directory: "letsencrypt"}},
			UnknownHost: "refuse",
		}, Crawlers: []string{"googlebot"},
		Verify: Verify{
			Resolver: "system",
			Wait:     time.Second,
			Ranges:   "auto",
		}, Log: Log{File: "-", Scope: "all", ClientIP: "full", Query: "keep"},
		Limits: Limits{
			HeaderBytes: 32 << 10, HeaderTime: 10 * time.Second, IdleTime: 120 * time.Second,
			PingAfter: 30 * time.Second, PingTime: 15 * time.Second, Streams: 100, FrameBytes: 16 << 10,
			StreamWindow: 256 << 10, ConnectionWindow: 1 << 20, WriteTime: time.Minute, OriginTime: time.Minute,
			DrainGrace: 5 * time.Second, DrainTime: 30 * time.Second, HeaderFields: 128, StallTime: time.Minute, StallBytes: 64 << 10, Connections: 16_384,
			ConnectionsPerAddress: 4096, StreamIdleTime: 10 * time.Minute, RequestsPerAddress: 1024,
		},
		Sites: []Site{{
			Hosts: []string{"example.com"}, Origin: []string{"http://127.0.0.1:3000"}, HTTP2Crawl: policy.Refuse,
			Guard: &Guard{Refusals: 100, Within: 24 * time.Hour},
		}},
	}
}

// same compares two configurations but for where they come from and what is noted about them.
func same(t *testing.T, name string, got *Config, want Config) {
	t.Helper()
	bare := *got
	bare.File, bare.Version, bare.notes, bare.places = "", "", nil, nil
	if !reflect.DeepEqual(bare, want) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", name, bare, want)
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
	}{
		{"least", func(c *Config) {}},
		{"one_line", func(c *Config) {}},
		{"json", func(c *Config) {}},
		{"byte_order_mark", func(c *Config) {}},
		{"windows_lines", func(c *Config) {}},
		{"document_start", func(c *Config) {}},
		{"tabs_in_values", func(c *Config) {}},
		{"international", func(c *Config) {
			c.Sites[0].Hosts = []string{"xn--bcher-kva.example.com", "xn--strae-oqa.example.com"}
		}},
		{"local", func(c *Config) {
			c.Certificates.Source = "local"
			c.Sites[0].Hosts = []string{"*.example.com", "127.0.0.1", "::1", "localhost"}
		}},
		{"files", func(c *Config) {
			c.Certificates.Source = "files"
			c.Certificates.Files = []Pair{{"/etc/ssl/a.pem", "/etc/ssl/a.key"}, {"b.pem", "b.key"}}
		}},
		{"acme_private", func(c *Config) {
			c.Certificates.Email, c.Certificates.CAs[0].Directory = "ops@example.com", "https://ca.example.com/acme/directory"
			c.Sites[0].Hosts = []string{"intranet"}
		}},
		{"off", func(c *Config) { c.Listen.HTTP, c.Admin, c.Sites[0].Guard = "", "", nil }},
		{"ports_zero", func(c *Config) {
			c.Listen, c.Admin = Listen{HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0"}, "127.0.0.1:0"
		}},
		{"limits", func(c *Config) {
			c.Limits = Limits{
				HeaderBytes: 64 << 10, HeaderTime: 5 * time.Second, IdleTime: 2 * time.Minute, PingAfter: time.Minute,
				PingTime: 10 * time.Second, Streams: 250, FrameBytes: 32 << 10, StreamWindow: 512 << 10,
				ConnectionWindow: 2 << 20, WriteTime: 30 * time.Second, OriginTime: 5 * time.Minute, DrainTime: 90 * time.Second,
				HeaderFields: 100, StallTime: 30 * time.Second, StallBytes: 128 << 10, Connections: 50_000, ConnectionsPerAddress: 64,
				StreamIdleTime: time.Hour, RequestsPerAddress: 100,
			}
		}},
		{"proxies", func(c *Config) {
			c.Listen.ProxyProtocol = []netip.Prefix{
				netip.MustParsePrefix("10.0.0.0/8"),
				netip.MustParsePrefix("2001:db8::/32"),
			}
			c.Listen.TrustedProxies = []netip.Prefix{
				netip.MustParsePrefix("192.0.2.0/24"),
				netip.MustParsePrefix("198.51.100.7/32"),
			}
			c.Listen.ClientIPHeader, c.Listen.ClientProtocolHeader = "X-Forwarded-For", "Cloudfront-Viewer-Http-Version"
		}},
		{"folder", func(c *Config) { c.Sites[0].Origin = []string{"file:/var/www/site"} }},
		{"origin_tls", func(c *Config) {
			c.Sites[0].Origin = []string{"https://app.example.net:8443"}
			c.Sites[0].OriginTLS = OriginTLS{ServerName: "www.example.com", CA: "/etc/origin-ca.pem"}
		}},
		{"origin_client_certificate", func(c *Config) {
			c.Sites[0].Origin = []string{"h2://app.example.net"}
			c.Sites[0].OriginTLS = OriginTLS{
				ClientCert: "/etc/gate421/client.pem",
				ClientKey:  "/etc/gate421/client.key",
			}
		}},
		{"origin_h2c", func(c *Config) { c.Sites[0].Origin = []string{"h2c://127.0.0.1:3000"} }},
		{"origin_unix", func(c *Config) { c.Sites[0].Origin = []string{"unix:/run/app.sock"} }},
		{"origin_many", func(c *Config) {
			c.Sites[0].Origin = []string{
				"http://127.0.0.1:3000",
				"https://app.example.net",
				"h2c://127.0.0.1:3001",
				"h2://[2001:db8::1]:8443",
				"unix:/run/app.sock",
			}
			c.Sites[0].OriginTLS = OriginTLS{CA: "/etc/origin-ca.pem"}
		}},
		{
			"origin_many_quoted",
			func(c *Config) { c.Sites[0].Origin = append(c.Sites[0].Origin, "http://127.0.0.1:3001") },
		},
		{"resolver", func(c *Config) { c.Verify.Resolver = "192.0.2.53:53" }},
		{"resolver_tls", func(c *Config) {
			c.Verify = Verify{
				Resolver: "tls://[2001:db8::53]:853#dns.example",
				Wait:     1500 * time.Millisecond,
				Ranges:   "none",
			}
		}},
		{"log_file", func(c *Config) {
			c.Log.File, c.Log.Query, c.Log.Rotate = "/var/log/gate421/decisions.log", "drop", Rotate{
				256 << 20,
				14,
				"zstd",
			}
		}},
		{"log_rotate", func(c *Config) { c.Log.File, c.Log.Rotate = "decisions.log", Rotate{1 << 30, 14, "none"} }},
		{"log_logrotate", func(c *Config) { c.Log.File = "decisions.log" }},
		{"every_key", func(c *Config) {
			c.Sites[0].Hosts = []string{"example.com", "www.example.com"}
			c.Sites[0].OriginTime = 10 * time.Minute
			c.Sites[0].Paths = []policy.Rule{
				{Pattern: "/downloads/", State: policy.Allow},
				{Pattern: "/*.pdf$", State: policy.Observe},
			}
		}},
		{"guard", func(c *Config) {
			c.Sites[0].Guard = &Guard{Refusals: 10, Within: 180 * time.Hour}
			c.Sites = append(c.Sites, Site{
				Hosts: []string{"a.example.com"}, Origin: []string{"http://[::1]:3000"}, HTTP2Crawl: policy.Observe,
				Guard: &Guard{Refusals: 100, Within: 24 * time.Hour},
			})
		}},
	}
	for _, test := range tests {
		want := standard()
		test.change(&want)
		same(t, test.name, good(t, test.name), want)
	}
}

func TestNotes(t *testing.T) {
	tests := []struct{ name, golden string }{
		{"notes", "testdata/good/notes.txt"},
		{"notes_proxies", "testdata/good/notes_proxies.txt"},
		{"notes_without_acme", "testdata/good/notes_without_acme.txt"},
		{"notes_everything", "testdata/good/notes_everything.txt"},
	}
	for _, test := range tests {
		var got strings.Builder
		for _, note := range good(t, test.name).Notes() {
			note.File = filepath.Base(note.File)
			got.WriteString(note.String() + "\n")
		}
		if want := string(read(t, test.golden)); got.String() != want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", test.name, got.String(), want)
		}
	}
}

func TestVersion(t *testing.T) {
	a, b := good(t, "least"), good(t, "windows_lines")
	if a.Version == b.Version || a.Version != good(t, "least").Version {
		t.Errorf("versions %s and %s", a.Version, b.Version)
	}
	// sha256sum testdata/good/least.yaml
	if want := "55fa7e087b70"; a.Version != want {
		t.Errorf("version %s, want %s", a.Version, want)
	}
}

func TestLoadUnreadable(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none.yaml"), t.TempDir()} {
		c, err := Load(path, catalogue())
		var problems Problems
		if c != nil || err == nil || errors.As(err, &problems) {
			t.Fatalf("%s: %v, %v", path, c, err)
		}
		if strings.Count(err.Error(), path) != 1 {
			t.Errorf("error %q names %q not once", err, path)
		}
	}
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), catalogue())
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v is not ErrNotExist", err)
	}
}

func TestTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(path, make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, catalogue())
	if want := path + ":1:1: the file is larger than 1 MiB\nhint: is it the right file?"; err == nil ||
		err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestQuick(t *testing.T) {
	c, err := Quick(QuickSetup{Hosts: []string{"Example.com"}, Origin: "http://127.0.0.1:3000/"}, catalogue())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "quick", c, standard())
	if len(c.Notes()) != 2 || c.Notes()[0].Message != "--email is missing" ||
		!strings.HasPrefix(c.Notes()[1].Message, `host "example.com": www.example.com is of no site`) {
		t.Errorf("notes %v", c.Notes())
	}
	q := QuickSetup{
		Hosts:      []string{"a.example", "b.example"},
		Origin:     "file:/srv",
		Email:      "a@example.com",
		HTTP2Crawl: "observe",
		State:      "/srv/state",
	}
	other, err := Quick(q, catalogue())
	if err != nil {
		t.Fatal(err)
	}
	want := standard()
	want.State, want.Certificates.Email = "/srv/state", "a@example.com"
	want.Sites[0].Hosts, want.Sites[0].Origin, want.Sites[0].HTTP2Crawl = q.Hosts, []string{"file:/srv"}, policy.Observe
	same(t, "quick", other, want)
	if other.Version == c.Version || len(c.Version) != 12 || c.File != "" {
		t.Errorf("versions %q and %q, file %q", c.Version, other.Version, c.File)
	}
}

func TestQuickProblems(t *testing.T) {
	tests := []struct {
		setup QuickSetup
		want  string
	}{
		{QuickSetup{}, `--host is missing
hint: write --host example.com, the name that visitors use
--origin is missing
hint: say where the site's own server is: --origin http://127.0.0.1:3000`},
		{
			QuickSetup{
				Hosts:      []string{"https://example.com", "a.example", "a.example"},
				Origin:     "127.0.0.1:3000",
				Email:      "me",
				HTTP2Crawl: "off",
				State:      "x",
			},
			`--state: "x" is not an absolute path
hint: write the whole path, from the / on
--email: "me" is not an e-mail address
hint: write it as you@example.com
host "https://example.com": a host has no http:// or https://
hint: write example.com; both http and https are served
host "a.example": listed twice
hint: a host can have one site only; keep one of them
--origin: "127.0.0.1:3000": has no http://, https:// or file: before it
hint: write http://127.0.0.1:3000
--http2-crawl: must be refuse, observe or allow, not "off"
hint: is HTTP/2 crawling not wanted? write refuse; is nothing to be refused? write allow`,
		},
	}
	for _, test := range tests {
		if _, err := Quick(test.setup, catalogue()); err == nil || err.Error() != test.want {
			t.Errorf("%+v:\ngot\n%v\nwant\n%s", test.setup, err, test.want)
		}
	}
}
