package config

import (
	"strings"
	"testing"
)

// What check, run and the log of reloads print holds no password of the storage, however the address was mistyped.
func TestNoPasswordIsShown(t *testing.T) {
	for _, line := range []string{
		`storage: "redis://gate:s3cret@192.0.2.6:6379"`, // which is right, and gets a note
		`storage: "redis://gate:s3cret%WORD@192.0.2.6:6379"`,
		`storage: "redis://gate:12#s3cret@192.0.2.6:6379"`,
		`storage: "redis://gate:s3cret and more@192.0.2.6:6379"`,
		`storage: "redis+tls://gate:s3c@s3cret@192.0.2.6:6379"`,
		`storage: "redis://gate:` + strings.Repeat("s3cret", 50) + `@192.0.2.6:6379/x y"`,
		`storage: redis:/gate:s3cret@192.0.2.6:6379`,
		`storage: gate:s3cret@192.0.2.6:6379`,
		`storage: "redis://s3cret@192.0.2.6 :6379"`,
		`storage: redis://gate:s3cret@192.0.2.6:6379: `,
		`storage: "redis://gate:s3cret@192.0.2.6:6379`,
		`storrage: "redis://gate:s3cret@192.0.2.6:6379"`,
		`storage: ["redis://gate:s3cret@192.0.2.6:6379"]`,
		`dns: {provider: acme-dns, account_file: x, server: "https://gate:s3cret@192.0.2.6"}`,
		`ca: "https://gate:s3cret@192.0.2.6/dir"`,
	} {
		c, err := Parse(
			"a.yaml",
			[]byte(
				"certificates:\n  "+line+"\nsites:\n- {hosts: [a.test], origin: \"http://127.0.0.1:1\", http2_crawl: observe}\n",
			),
			nil,
		)
		var shown string
		if err != nil {
			shown = err.Error()
		} else {
			for _, note := range c.Notes() {
				shown += note.String()
			}
		}
		if !strings.Contains(shown, "a.yaml:2:") || strings.Contains(shown, "s3cret") {
			t.Errorf("%s: shown as\n%s", line, shown)
		}
	}
}

// However many secrets a line has, and whatever stands in them, none is shown.
func TestEverySecretOfALineIsHidden(t *testing.T) {
	for _, line := range []string{
		`  dns: {provider: cloudflare, token: s3cret-a, api_key: s3cret-b}`,
		`  dns: {provider: cloudflare, token: "a,s3cret", secret: 's3cret, b'}`,
		`  ca: [{directory: "https://a.example/d", eab: {hmac_key: s3cret}}, {eab: {hmac_key: "}s3cret\"s3cret", password: s3cret}}]`,
		`  api_key: 's3cret`,
		`  token: x, s3cret`,
		`  {token: "", secret: s3cret`,
		`  {` + strings.Repeat("token: s3cret, ", 100) + `}`,
	} {
		shown := masked(line)
		if strings.Contains(shown, "s3cret") || len(shown) != len(line) {
			t.Errorf("%s\nis shown as\n%s", line, shown)
		}
	}
}

// An acme-dns server elsewhere that is asked without TLS is worth a note; one on this machine is usual.
func TestUnencryptedACMEDNSIsNoted(t *testing.T) {
	for server, want := range map[string]bool{
		"http://auth.example.net":  true,
		"http://192.0.2.6:8053":    true,
		"https://auth.example.net": false,
		"http://127.0.0.1:8053":    false,
		"http://[::1]:8053":        false,
		"http://localhost":         false,
	} {
		c, err := Parse(
			"a.yaml",
			[]byte(
				"certificates:\n  dns: {provider: acme-dns, account_file: x, server: \""+server+"\"}\nsites:\n- {hosts: [a.test], "+
					"origin: \"http://127.0.0.1:1\", http2_crawl: observe}\n",
			),
			[]string{"googlebot"},
		)
		if err != nil {
			t.Fatal(err)
		}
		got := false
		for _, note := range c.Notes() {
			got = got || strings.Contains(note.Message, "unencrypted")
		}
		if got != want {
			t.Errorf("%s: a note: %v", server, got)
		}
	}
}
