package analysis

import (
	"fmt"
	"strings"
	"testing"

	"gate421/gate/report/logs/logstest"
)

// Claims from addresses that no crawler on the internet has are counted apart.
func TestPrivateClaims(t *testing.T) {
	for _, test := range []struct {
		client, verdict, network string
	}{
		{"10.0.0.5", "impostor", "10.0.0.0/24"},
		{"10.0.0.0", "impostor", "10.0.0.0/24"},
		{"10.0.0.5", "unknown", "10.0.0.0/24"},
		{"127.0.0.1", "impostor", "127.0.0.0/24"},
		{"172.17.0.1", "impostor", "172.17.0.0/24"},
		{"100.64.3.2", "impostor", "100.64.3.0/24"},
		{"fd00:1:2::3", "unknown", "fd00:1:2::/48"},
		{"169.254.1.1", "impostor", "169.254.1.0/24"},
		{"fe80::1", "impostor", "fe80::/48"},
		{"::ffff:192.168.1.1", "impostor", "192.168.1.0/24"},
		{"100.128.3.2", "impostor", ""},
		{"192.0.2.1", "impostor", ""},
		{"2001:db8::1", "impostor", ""},
		{"?", "impostor", ""},
	} {
		const claims, verified = 50, 20
		want := PrivateClaims{Claims: claims + verified, Network: test.network}
		if test.network != "" {
			want.Requests = claims
		}
		var log strings.Builder
		for i := range claims {
			log.WriteString(logstest.Line(i%60, i, "HTTP/2.0", "/",
				fmt.Sprintf(`,"verdict":%q,"client_ip":%q,"action":"serve","reason":%q`,
					test.verdict, test.client, test.verdict)))
		}
		for i := range verified {
			log.WriteString(logstest.Line(i%60, claims+i, "HTTP/1.1", "/", `,"client_ip":"66.249.66.1"`))
		}
		if got := examineText(t, log.String()).Private; got != want {
			t.Errorf("claims from %s (%s): got %+v, want %+v", test.client, test.verdict, got, want)
		}
	}
}
