package http1

import (
	"context"
	"net/http"
	"slices"
	"testing"
)

func TestRegisteredNames(t *testing.T) {
	for _, name := range []string{
		"A-IM", "Accept-CH", "ALPN", "CalDAV-Timezones", "CDN-Loop", "Content-MD5", "DAV", "DNT", "DPoP", "ETag", "Expect-CT", "HTTP2-Settings", "IM", "Last-Event-ID",
		"MIME-Version", "NEL", "OData-EntityId", "P3P", "Sec-CH-UA-Mobile", "Sec-GPC", "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Key",
		"Sec-WebSocket-Protocol", "Sec-WebSocket-Version", "SLUG", "SOAPAction", "SourceMap", "TCN", "TE", "TTL", "WWW-Authenticate", "X-DNS-Prefetch-Control",
		"X-Real-IP", "X-Request-ID", "X-UA-Compatible", "X-WebKit-CSP", "X-XSS-Protection",
		"Alt-Svc", "Accept", "Content-Length", "Content-Type", "Host", "User-Agent", "X-Forwarded-For", "X-Powered-By", "Sec-Fetch-Mode", "", "X", "Etag2", "X_real_ip",
	} {
		if got := Registered(http.CanonicalHeaderKey(name)); got != name && http.CanonicalHeaderKey(name) != name {
			t.Errorf("%q becomes %q", name, got)
		} else if !Same(got, name) {
			t.Errorf("%q becomes another: %q", name, got)
		}
	}
}

// What is registered is written so in any case, and so is what a peer wrote.
func TestSpelling(t *testing.T) {
	var s Spelling
	for _, written := range []string{"host", "Accept", "etag", "DNT", "Dnt", "x-A", "SOAPAction", "User-Agent"} {
		s.Note(written, http.CanonicalHeaderKey(written))
	}
	if want := (Spelling{"host", "etag", "Dnt", "x-A"}); !slices.Equal(s, want) {
		t.Errorf("noted %q, want %q", s, want)
	}
	for name, want := range map[string]string{"Host": "host", "Accept": "Accept", "Etag": "etag", "X-A": "x-A", "Soapaction": "SOAPAction", "Te": "TE", "X-B": "X-B"} {
		if got := s.Of(name); got != want {
			t.Errorf("%s is written %q, want %q", name, got, want)
		}
		if got, want := Spelling(nil).Of(name), Registered(name); got != want {
			t.Errorf("%s is written %q, want %q", name, got, want)
		}
	}
	ctx := context.WithValue(context.Background(), SpellingKey{}, &s)
	if got := SpellingOf(ctx); !slices.Equal(got, s) || SpellingOf(context.Background()) != nil {
		t.Errorf("%q", got)
	}
}
