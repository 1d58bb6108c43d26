package verifytest_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"gate421/verify"
	"gate421/verify/verifytest"
)

// In this zone 192.0.2.1 is Googlebot, 192.0.2.2 pretends to be and 192.0.2.3 has no name.
func Example() {
	dns := verifytest.NewServer("")
	defer dns.Close()
	name := dns.AddGooglebot(netip.MustParseAddr("192.0.2.1"))
	dns.SetPTR(netip.MustParseAddr("192.0.2.2"), name)

	verifier := &verify.Verifier{Resolver: &verify.Resolver{Servers: []string{dns.Addr()}}, Wait: time.Second}
	defer verifier.Close()
	show := func(address string) {
		result := verifier.Identify(context.Background(), "googlebot", netip.MustParseAddr(address))
		fmt.Printf("%s %s %q\n", address, result.Verdict, result.Cause)
	}
	show("192.0.2.1")
	show("192.0.2.2")
	show("192.0.2.3")
	dns.SetFault(verifytest.Rcode(2)) // SERVFAIL
	show("192.0.2.4")
	// Output:
	// 192.0.2.1 genuine ""
	// 192.0.2.2 impostor ""
	// 192.0.2.3 impostor ""
	// 192.0.2.4 unknown "servfail"
}
