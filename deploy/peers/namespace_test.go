//go:build peers

package peers

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// namespaceVariable says, inside, which network namespace the test runs in.
const namespaceVariable = "GATE421_PEERS_NAMESPACE"

// The impostors are addresses that did come with Googlebot's User-Agent and forged reverse names.
const (
	googlebot4 = "66.249.66.1"
	googlebot6 = "2001:4860:4801:10::1"
	forgedBack = "91.208.197.96" // its name is a crawler's and leads to the crawler's address
	forgedDead = "95.216.227.158"
)

// inside says whether the test runs in a network namespace of its own. If it does not, inside makes one, runs the test
// in it as another process, reports what came of it and returns false: there is nothing left to do. In the namespace
// there is nothing but a loopback interface, on which the crawlers' and the impostors' addresses are local.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namespaceVariable) != "" {
		return true
	}
	program(t)
	ip := tool(t, "ip", fromIproute)
	name := "gate421-peers-" + strings.ToLower(rand.Text()[:10])
	output(t, ip, "netns", "add", name)
	t.Cleanup(func() { leave(t, ip, name) })
	output(t, ip, "netns", "exec", name, "sh", "-e", "-c", `
		ip link set lo up
		for network in 66.249.64.0/19 `+forgedBack+` `+forgedDead+`; do ip route add local $network dev lo; done
		ip -6 route add local 2001:4860:4801::/48 dev lo
		echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind`)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, ip, "netns", "exec", name, self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.parallel=16")
	cmd.Env = append(os.Environ(), namespaceVariable+"="+name)
	cmd.WaitDelay = 10 * time.Second
	said, err := cmd.CombinedOutput()
	t.Logf("in a network namespace of its own:\n%s", strings.TrimSpace(string(said)))
	if err != nil || !strings.Contains(string(said), "--- PASS: "+t.Name()) {
		t.Errorf("in the namespace: %v", err)
	}
	return false
}

// leave ends what is left in the namespace, process by process, and removes it.
func leave(t *testing.T, ip, name string) {
	left, _ := exec.Command(ip, "netns", "pids", name).Output()
	for pid := range strings.FieldsSeq(string(left)) {
		if n, err := strconv.Atoi(pid); err == nil {
			t.Errorf("process %d was left in the namespace", n)
			if p, err := os.FindProcess(n); err == nil {
				p.Kill()
			}
		}
	}
	if out, err := exec.Command(ip, "netns", "del", name).CombinedOutput(); err != nil {
		t.Error(fmt.Errorf("ip netns del: %w: %s", err, out))
	}
}

// googleZone is the DNS of the namespace. crawlers are further addresses that are Googlebot's.
func googleZone(t *testing.T, crawlers ...string) *zone {
	t.Helper()
	names := map[string]string{
		googlebot4: "crawl-66-249-66-1.googlebot.com",
		googlebot6: "crawl-2001-4860-4801-10--1.googlebot.com",
		forgedBack: "crawl-66-249-66-66.googlebot.com",
		forgedDead: "crawl-95-216-227-158.googlebot.com",
	}
	for _, address := range crawlers {
		names[address] = "crawl-" + strings.ReplaceAll(address, ".", "-") + ".googlebot.com"
	}
	return startZone(t, names, map[string]string{"crawl-66-249-66-66.googlebot.com": "66.249.66.66", "crawl-95-216-227-158.googlebot.com": ""})
}
