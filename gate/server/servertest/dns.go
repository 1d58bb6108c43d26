package servertest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gate421/verify"
	"gate421/verify/verifytest"
)

// DNS is a DNS server on loopback that scenarios give their orders to.
type DNS struct {
	*verifytest.Server
	fault verifytest.Fault
	delay time.Duration
}

// NewDNS knows the address that the gateway tries a DNS server with, and nobody else.
func NewDNS(t *testing.T) *DNS {
	t.Helper()
	d := &DNS{Server: verifytest.NewServer("")}
	t.Cleanup(d.Close)
	d.AddGooglebot(verify.ProbeAddr())
	return d
}

// faultOf returns what a scenario's word stands for.
func faultOf(word string) (verifytest.Fault, error) {
	const servfail, refused, firstLetter = 2, 5, 13
	switch word {
	case "none":
		return nil, nil
	case "silent":
		return verifytest.Silent, nil
	case "servfail":
		return verifytest.Rcode(servfail), nil
	case "refused":
		return verifytest.Rcode(refused), nil
	case "garbage":
		return func(_ string, _, _ []byte) []byte { return []byte("this is no DNS message") }, nil
	case "lying": // a reply to a question that nobody asked
		return func(_ string, _, reply []byte) []byte { reply[firstLetter] ^= 0x01; return reply }, nil
	}
	return nil, fmt.Errorf("dns: no fault %q", word)
}

// Apply takes lines as scenarios have them:
//
//	127.0.0.2 crawl-1.googlebot.com 127.0.0.2   address, its reverse name, where that leads ("" nowhere)
//	fault silent                                silent, servfail, refused, garbage, lying, or none
//	slow 300ms                                  before each reply
//	down                                        for good
func (d *DNS) Apply(lines []string) (err error) {
	for _, line := range lines {
		words := strings.Fields(line)
		switch {
		case words[0] == "down":
			d.Close()
		case words[0] == "fault" && len(words) == 2:
			d.fault, err = faultOf(words[1])
		case words[0] == "slow" && len(words) == 2:
			d.delay, err = time.ParseDuration(words[1])
		default:
			err = d.name(words)
		}
		if err != nil {
			return err
		}
		if d.SetFault(d.fault); d.delay > 0 {
			d.SetFault(verifytest.Delay(d.delay, d.fault))
		}
	}
	return nil
}

func (d *DNS) name(words []string) error {
	address, err := netip.ParseAddr(words[0])
	if err != nil || len(words) < 2 || len(words) > 3 {
		return fmt.Errorf("dns: %q is neither an address with its names nor a fault", strings.Join(words, " "))
	}
	d.SetPTR(address, words[1])
	if len(words) == 3 {
		leads, err := netip.ParseAddr(words[2])
		if err != nil {
			return fmt.Errorf("dns: %w", err)
		}
		d.SetAddrs(words[1], leads)
	}
	return nil
}

// GooglebotAt makes an address a crawler that can be proven.
func (d *DNS) GooglebotAt(t *testing.T, address string) {
	t.Helper()
	d.AddGooglebot(netip.MustParseAddr(address))
}
