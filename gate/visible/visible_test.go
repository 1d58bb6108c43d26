package visible

import (
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"/shop/?q=äß商品 👍":                 "/shop/?q=äß商品 👍",
		"e\u0301t\u00e9":                  "e\u0301t\u00e9",
		"a\tb\nc\x00":                     `a\x09b\x0ac\x00`,
		"\x1b[2J":                         `\x1b[2J`,
		"\u009b31m":                       `\u009b31m`,
		"\xff\xfe":                        `\xff\xfe`,
		"\ufffd":                          "\ufffd",
		"gpj.\u202eexe":                   `gpj.\u202eexe`,
		"\u2066\u2069\u200f":              `\u2066\u2069\u200f`,
		"a\u2028b\u00a0c":                 `a\u2028b\u00a0c`,
		"Google\u200bbot":                 `Google\u200bbot`,
		"\u3164\uffa0\u115f":              `\u3164\uffa0\u115f`,
		"\u1160\u2800\u034f":              `\u1160\u2800\u034f`,
		"\u17b4\u17b5\u00ad":              `\u17b4\u17b5\u00ad`,
		"\ufe0f\U000e0100":                `\ufe0f\U000e0100`,
		"\U000e0041\ufeff":                `\U000e0041\ufeff`,
		"\u20dd":                          `\u20dd`,
		"\u0301a\u0301\u0302\u0303\u0304": `\u0301a` + "\u0301\u0302\u0303" + `\u0304`,
	} {
		got := Text(in)
		if got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
		if again := Text(got); again != got {
			t.Errorf("Text(%q) = %q, want it as it was", got, again)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\u0301\u3164\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Text(s)
		if !utf8.ValidString(got) {
			t.Errorf("Text(%q) = %q, want valid UTF-8", s, got)
		}
		for _, c := range got {
			if Hidden(c) {
				t.Errorf("Text(%q) = %q, which holds the hidden %U", s, got, c)
			}
		}
		if again := Text(got); again != got {
			t.Errorf("Text(%q) = %q, want it as it was", got, again)
		}
	})
}
