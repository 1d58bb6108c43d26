package verify

import (
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// FuzzReverseName: whatever a PTR record says, a trusted name is one of Google's and fit to be logged, and showing any
// name is safe.
func FuzzReverseName(f *testing.F) {
	for _, name := range []string{
		"crawl-66-249-66-1.googlebot.com.", "geo-crawl-1.geo.googlebot.com", "rate-limited-proxy-1.google.com",
		"crawl-1.fakegooglebot.com.", "googlebot.com.evil.tld", "crawl-1\\.googlebot.com", "CRAWL-\x00.GOOGLEBOT.COM",
		"", ".", "..", strings.Repeat("a.", 130) + "googlebot.com",
	} {
		f.Add(name)
	}
	crawlers := Catalogue()
	f.Fuzz(func(t *testing.T, name string) {
		for _, c := range crawlers {
			if !c.Trusts(name) {
				continue
			}
			clean, ok := cleanName(name)
			if !ok {
				t.Fatalf("%s trusts %q, which is no host name", c.Name, name)
			}
			if _, valid := dns.IsDomainName(clean); !valid {
				t.Fatalf("%q is no domain name", clean)
			}
			special := c.Class == ClassSpecialCase && strings.HasSuffix(clean, ".google.com")
			common := c.Name != "apis-google" && c.Name != "google-safety" && strings.HasSuffix(clean, ".googlebot.com")
			if !special && !common {
				t.Fatalf("%s trusts %q", c.Name, name)
			}
			if label, _, _ := strings.Cut(clean, "."); len(label) > 63 || !strings.Contains(label, "-") {
				t.Fatalf("%s trusts %q", c.Name, name)
			}
			if !c.Trusts(strings.ToUpper(clean) + ".") {
				t.Fatalf("%q is trusted and not its absolute form in upper case", name)
			}
		}
		if clean, ok := cleanName(name); ok {
			if again, ok := cleanName(clean); !ok || again != clean {
				t.Fatalf("%q becomes %q becomes %q", name, clean, again)
			}
			if len(clean) > 253 || safe(clean, "") != "" {
				t.Fatalf("%q is not clean", clean)
			}
		}
		if shown := printableName(name); len(shown) > 253 || safe(shown, "_?") != "" {
			t.Fatalf("%q is shown as %q", name, shown)
		}
	})
}

// safe returns the first byte of s that does not belong into a name.
func safe(s, also string) string {
	for i := range len(s) {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."+also, rune(s[i])) {
			return s[i : i+1]
		}
	}
	return ""
}

// FuzzClaims compares Of with a slow reading of its rules.
func FuzzClaims(f *testing.F) {
	for _, agent := range []string{
		agentBrowser, agentGooglebot, agentMobile, "Googlebot-Image/1.0", "AdsBot-Google-Mobile", "notgooglebot",
		"googlebot\x00",
		"\xffGooglebot", "GoogleOther", "Google-\u212a", "Googlebots Googlebot-",
		"a/1 (b) Googlebot/2.1", "a like Googlebot/2.1", "(like Googlebot)", "Googlebot-like/2.1", "Googlebot,gzip(gfe)",
		"x/1) Googlebot/2",
	} {
		f.Add(agent)
	}
	claims := allClaims(f)
	crawlers := Catalogue()
	first := regexp.MustCompile(`(^|[(;])[ \t]*$`)
	follows := regexp.MustCompile(`(/[^ \t(;]*|\))[ \t]+$`)
	const word = `[-_0-9a-z\x{80}-\x{10FFFF}]`
	f.Fuzz(func(t *testing.T, agent string) {
		lower, want := asciiLower(agent), ""
		for i := 0; i < len(agent) && want == ""; i++ {
			for _, c := range crawlers {
				for _, token := range c.Tokens {
					token = asciiLower(token)
					if !strings.HasPrefix(lower[i:], token) {
						continue
					}
					behind := regexp.MustCompile(`^(?:-(` + word + `*))?(/|,|[ \t]*(?:[();]|$))?`).FindStringSubmatch(
						lower[i+len(token):])
					named := !strings.HasPrefix(lower[i+len(token):], "-") ||
						behind[1] != "" && behind[1] != "like" && behind[1] != "compatible"
					ended := behind[2] != "" || behind[0] == lower[i+len(token):]
					if named && (first.MatchString(lower[:i]) && ended || follows.MatchString(lower[:i]) && behind[2] == "/") {
						want = c.Name
					}
				}
			}
		}
		if got := claims.Of(agent); got != want {
			t.Fatalf("Of(%q) = %q, want %q", agent, got, want)
		}
	})
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 0x20
		}
	}
	return string(b)
}
