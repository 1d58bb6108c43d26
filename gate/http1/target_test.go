package http1

import "testing"

func TestOriginForm(t *testing.T) {
	for target, want := range map[string]string{
		"/": "/", "/a%2Fb|c": "/a%2Fb|c", "//a//b": "//a//b", "/?": "/?", "/a?b?c=http://d": "/a?b?c=http://d", "*": "*", "": "", "/http://a/b": "/http://a/b",
		"http://a": "/", "https://a/": "/", "http://a?": "/?", "http://a:80?b/c": "/?b/c", "HTTP://a/b%2F^\"|?c": "/b%2F^\"|?c", "http://a//b/": "//b/", "https://[::1]:8443/x": "/x",
		"http://a/%zz": "/%zz", "a:443": "a:443",
	} {
		if got := OriginForm(target); got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
}

func TestEscaped(t *testing.T) {
	for target, want := range map[string]bool{
		"": true, "/": true, "/a%2fB%2F%00": true, "/a?%": true, "/a%41?%zz": true, "*": true,
		"/%": false, "/100%": false, "/%zz": false, "/%4": false, "/%4g": false, "/%%41": false, "/%2?f": false, "/a%c3%a": false,
	} {
		if Escaped(target) != want {
			t.Errorf("%q: %v", target, !want)
		}
	}
}
