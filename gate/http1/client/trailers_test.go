package client

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// dangerous are fields that no receiver must find behind a body, in whichever case and look.
func dangerous() []string {
	return []string{
		"Authorization",
		"Cookie",
		"Set-Cookie",
		"Range",
		"If-None-Match",
		"If-Range",
		"Host",
		"Content-Type",
		"Content-Encoding",
		"Content-Range",
		"Content-Length",
		"Transfer-Encoding",
		"Te",
		"Expect",
		"Max-Forwards",
		"Cache-Control",
		"Pragma",
		"Location",
		"Vary",
		"Age",
		"Expires",
		"Date",
		"Retry-After",
		"Warning",
		"Www-Authenticate",
		"Proxy-Authorization",
		"Proxy-Authenticate",
		"Connection",
		"Keep-Alive",
		"Upgrade",
		"Trailer",
		"User-Agent",
		"Referer",
		"Origin",
		"Accept",
		"Accept-Encoding",
		"X-Forwarded-For",
		"X-Real-Ip",
		"Forwarded",
		"Cf-Connecting-Ip",
		"Proxy",
		"X-Http-Method-Override",
		"Sec-Fetch-Site",
		"Access-Control-Allow-Origin",
		"Strict-Transport-Security",
		"Alt-Svc",
		"X_real_ip",
		"Content.type",
		"Cookie2",
		"X-Accel-Redirect",
		"Content_length",
		"Sec_websocket_key",
	}
}

func TestTrailersThatMayCome(t *testing.T) {
	for _, name := range dangerous() {
		if AllowedTrailer(name) || AllowedTrailer(strings.ReplaceAll(name, "-", "_")) ||
			AllowedTrailer(strings.ReplaceAll(name, "-", "~")) {
			t.Errorf("%s may come", name)
		}
	}
	for _, name := range []string{"Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "X-Sum", "Etag", "Digest", "Repr-Digest", "Content-Digest", "Content-Md5", "Server-Timing",
		"Authentication-Info", "Signature", "Signature-Input", "X_sum", "Cache-Status", "Poly-Status"} {
		if !AllowedTrailer(name) {
			t.Errorf("%s may not come", name)
		}
	}
}

func TestTrailersAreAppendedAsOneBlock(t *testing.T) {
	got := AppendTrailers(
		nil,
		http.Header{"X-B": {"2", "bad\r\nX-Evil: 1"}, "X-A": {"1"}, "Te": {"x"}, "Bad Name": {"1"}},
	)
	if want := "X-A: 1\r\nX-B: 2\r\n\r\n"; !bytes.Equal(got, []byte(want)) {
		t.Errorf("%q", got)
	}
}
