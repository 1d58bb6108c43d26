package config

import (
	"reflect"
	"testing"
	"time"
)

func TestCertificates(t *testing.T) {
	acme := func(change func(*Certificates)) Certificates {
		c := Certificates{
			Source:      "acme",
			Email:       "you@example.com",
			CAs:         []CA{{Directory: "letsencrypt"}},
			UnknownHost: "refuse",
		}
		change(&c)
		return c
	}
	for name, want := range map[string]Certificates{
		"authorities": acme(func(c *Certificates) {
			c.CAs = []CA{
				{Directory: "letsencrypt"}, {Directory: "zerossl", KeyID: "abc", HMACKeyFile: "/etc/gate421/zerossl.key"},
				{Directory: "https://ca.example.com/dir", Root: "/etc/gate421/root.pem"},
			}
			c.DNS = &DNS{Provider: "rfc2136", Server: "192.0.2.53:53", KeyName: "update", KeyAlgorithm: "hmac-sha512", KeyFile: "/etc/gate421/update.key",
				DelegatedTo: "_acme.example.net", Resolvers: []string{"192.0.2.54:53", "[2001:db8::53]:5353"}}
			c.UnknownHost, c.Storage = "default", "rediss://192.0.2.6:6380/1"
		}),
		"dns_acme_dns": acme(func(c *Certificates) {
			c.DNS = &DNS{Provider: "acme-dns", Server: "https://auth.example.com", AccountFile: "/etc/gate421/account.json", Propagation: 2 * time.Minute}
		}),
		"dns_cloudflare": acme(func(c *Certificates) {
			c.DNS = &DNS{Provider: "cloudflare", TokenFile: "/etc/gate421/token", Propagation: 2 * time.Minute}
		}),
	} {
		if got := good(t, name).Certificates; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
	if hosts := good(t, "authorities").Sites[0].Hosts; !reflect.DeepEqual(hosts,
		[]string{"*.example.com", "xn--bcher-kva.example.com", "intranet"}) {
		t.Errorf("hosts %q", hosts)
	}
}
