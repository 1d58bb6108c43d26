package client

import (
	"strings"
	"testing"
)

func TestAuthenticatesConnection(t *testing.T) {
	for value, want := range map[string]string{
		"NTLM":                                   "found",
		"ntlm":                                   "found",
		"Negotiate":                              "found",
		"NEGOTIATE":                              "found",
		"Nego2":                                  "found",
		"Kerberos":                               "found",
		"CredSSP":                                "found",
		"GSSAPI":                                 "found",
		"NTLM TlRMTVNTUAACAAAA":                  "data",
		"negotiate\toYIBZzCC":                    "data",
		"  Negotiate   YIIx== ":                  "data",
		"Negotiate, NTLM":                        "found",
		"Negotiate,NTLM TlRM":                    "data",
		"NTLM TlRM, Negotiate":                   "data",
		`Basic realm="shop", NTLM`:               "found",
		`Basic realm="a, b",Negotiate`:           "found",
		`Digest realm="x", nonce="y",, ,NTLM`:    "found",
		`Basic realm="shop\"", NTLM`:             "found",
		`Basic realm="shop\", NTLM`:              "found", // it never ends
		`Basic realm="shop, NTLM`:                "found",
		"Basic":                                  "",
		"":                                       "",
		",":                                      "",
		"Basic NTLM":                             "",
		"Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc":    "",
		"NTLMv2":                                 "",
		"XNegotiate":                             "",
		"NTLM=x":                                 "",
		`Basic realm="NTLM"`:                     "",
		`Basic realm="Negotiate, NTLM, Nego2"`:   "",
		`Basic realm="a, NTLM, \", NTLM", b="c"`: "",
		`Digest username="NTLM", uri="/, NTLM"`:  "",
	} {
		found, data := authenticatesConnection(value)
		got := ""
		switch {
		case data:
			got = "data"
		case found:
			got = "found"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// Whoever names a scheme again and again has no more work done for it than others of that length.
func TestCredentialsAreReadOnce(t *testing.T) {
	const size = 1 << 20
	for _, value := range []string{strings.Repeat("NTLM,", size/5), `a="` + strings.Repeat("NTLM,", size/5) + `"`, strings.Repeat(`NTLM,",`, size/7)} {
		read := make(chan bool, 1)
		go func() {
			found, _ := authenticatesConnection(value)
			read <- found
		}()
		if found := <-read; found != (value[0] == 'N') {
			t.Errorf("%.10s: %v", value, found)
		}
	}
}
