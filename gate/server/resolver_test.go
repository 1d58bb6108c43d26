package server

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gate421/gate/server/servertest"
	"gate421/verify"
)

const resolverSetting = `
admin: "127.0.0.1:0"
sites: [{hosts: [shop.test], origin: $echo, http2_crawl: refuse}]`

// page asks the admin address of a running gateway for one of its texts.
func (s *setup) page(path string) string {
	w := httptest.NewRecorder()
	s.gateway.admin.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
	return fmt.Sprintf("%d %s", w.Code, w.Body)
}

// TestResolverThatProvesNobody: it is said once, with the cure, in the log, on the page, in the metrics and in the
// health, which stays 200, because the sites are served.
func TestResolverThatProvesNobody(t *testing.T) {
	t.Parallel()
	for fault, cause := range map[string]string{"servfail": "servfail", "refused": "refused", "silent": "timeout"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			s.Write(resolverSetting)
			if err := s.DNS.Apply([]string{"fault " + fault}); err != nil {
				t.Fatal(err)
			}
			s.open()
			line := s.Log.Wait(map[string]string{"event": "resolver"})
			if line["what"] != "probe" || line["working"] != false || line["cause"] != cause+" "+s.DNS.Addr() ||
				fmt.Sprint(line["servers"]) != "["+s.DNS.Addr()+"]" {
				t.Errorf("the log says %v", line)
			}
			said := "gate421: resolver " + s.DNS.Addr() + " cannot prove that 66.249.66.1 is Googlebot: " + cause +
				"\nhint: until it can, nobody is refused;"
			deadline := time.Now().Add(servertest.Patience)
			for strings.Count(s.Stderr.String(), said) != 1 && time.Now().Before(deadline) {
				time.Sleep(5 * time.Millisecond)
			}
			if strings.Count(s.Stderr.String(), said) != 1 {
				t.Errorf("stderr says %q, want once %q", s.Stderr.String(), said)
			}
			for path, wanted := range map[string]string{
				"/health":  "200 ok\nnobody can be verified, so nobody is refused: " + cause + " " + s.DNS.Addr() + "\n",
				"/metrics": "\ngate421_resolver_working 0\n",
				"/":        "Nobody can be verified</h2>",
			} {
				if got := s.page(path); !strings.Contains(got, wanted) {
					t.Errorf("%s says %s, want %q in it", path, got, wanted)
				}
			}
		})
	}
}

// TestResolverThatWorks is in the log, and nowhere does it alarm anybody.
func TestResolverThatWorks(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.Write(resolverSetting)
	s.open()
	line := s.Log.Wait(map[string]string{"event": "resolver"})
	if line["working"] != true || line["cause"] != nil {
		t.Errorf("the log says %v", line)
	}
	if said := s.Stderr.String(); strings.Contains(said, "resolver") {
		t.Errorf("stderr says %q", said)
	}
	for path, wanted := range map[string]string{
		"/health": "200 ok\n", "/metrics": "\ngate421_resolver_working 1\n",
		"/": "proved who Googlebot is when it was last tried",
	} {
		got := s.page(path)
		if !strings.Contains(got, wanted) || strings.Contains(strings.ToLower(got), "nobody can be verified") {
			t.Errorf("%s says %s, want %q", path, got, wanted)
		}
	}
	// It is said once when that ends, and once when it begins again.
	bad := verify.Condition{Servers: []string{"192.0.2.53:53"}, Result: verify.Result{Cause: verify.CauseRefused}}
	good := verify.Condition{Servers: []string{"192.0.2.53:53"}, Working: true}
	for _, c := range []verify.Condition{bad, bad, good, good} {
		s.gateway.onResolverCondition(c)
	}
	one, two := []string{"192.0.2.1:53"}, []string{"192.0.2.2:53"}
	s.gateway.onResolverServers(verify.ServersEvent{Servers: one})
	s.gateway.onResolverServers(verify.ServersEvent{Servers: two, Before: one})
	s.gateway.onResolverServers(verify.ServersEvent{Servers: two, Before: two,
		Err: errors.New("the file names no server")})
	said := s.Stderr.String()
	for _, wanted := range []string{
		"(192.0.2.53:53) cannot prove that 66.249.66.1 is Googlebot: refused\n",
		"(192.0.2.53:53) proves that 66.249.66.1 is Googlebot",
		"gate421: resolver system: the DNS servers are now 192.0.2.2:53; until now 192.0.2.1:53\n",
		"gate421: resolver system: the file names no server; asking 192.0.2.2:53\n" +
			"hint: name a DNS server there, or in verify.resolver\n",
	} {
		if strings.Count(said, wanted) != 1 {
			t.Errorf("stderr says %q, want once %q", said, wanted)
		}
	}
	s.Log.Wait(map[string]string{
		"event": "resolver", "what": "servers", "servers": "[192.0.2.2:53]", "before": "[192.0.2.1:53]",
	})
}
