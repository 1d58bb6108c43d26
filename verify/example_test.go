package verify_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"gate421/verify"
	"gate421/verify/verifytest"
)

func ExampleClaims_Of() {
	claims, err := verify.NewClaims([]string{"googlebot", "adsbot-google"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, agent := range []string{
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
		"Googlebot-Image/1.0",
		"AdsBot-Google (+http://www.google.com/adsbot.html)",
		"notgooglebot/1.0",
	} {
		fmt.Printf("%q\n", claims.Of(agent))
	}
	// Output:
	// "googlebot"
	// "googlebot"
	// "adsbot-google"
	// ""
}

func ExampleCrawler_Trusts() {
	googlebot := verify.Catalogue()[0]
	for _, name := range []string{
		"crawl-66-249-66-1.googlebot.com.",
		"crawl-66-249-66-1.googlebot.com.evil.example.",
		"crawl-66-249-66-1.fakegooglebot.com.",
	} {
		fmt.Println(googlebot.Trusts(name), name)
	}
	// Output:
	// true crawl-66-249-66-1.googlebot.com.
	// false crawl-66-249-66-1.googlebot.com.evil.example.
	// false crawl-66-249-66-1.fakegooglebot.com.
}

func ExampleParseResolver() {
	r, err := verify.ParseResolver("tls://192.0.2.53#dns.example")
	fmt.Println(r.Servers, r.TLSName, err)
	_, err = verify.ParseResolver("dns.example")
	fmt.Println(err)
	// Output:
	// [192.0.2.53:853] dns.example <nil>
	// resolver "dns.example": "dns.example" is not an address; want "system", "192.0.2.53:53" or "tls://192.0.2.53:853#dns.example"
}

func ExampleRanges_Find() {
	ranges, err := verify.PublishedRanges()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ranges.Find(netip.MustParseAddr("66.249.66.1")))
	fmt.Println(ranges.Find(netip.MustParseAddr("192.0.2.1")))
	// Output:
	// 66.249.66.0/27 true
	// invalid Prefix false
}

// One address of this example's zone is Googlebot's; the other only has a name that says so.
func ExampleVerifier_Identify() {
	server := verifytest.NewServer(`
1.66.249.66.in-addr.arpa.        300 IN PTR crawl-66-249-66-1.googlebot.com.
crawl-66-249-66-1.googlebot.com. 300 IN A   66.249.66.1
1.2.0.192.in-addr.arpa.          300 IN PTR crawl-66-249-66-1.googlebot.com.`)
	defer server.Close()

	verifier := &verify.Verifier{
		Resolver: &verify.Resolver{Servers: []string{server.Addr()}},
		Wait:     time.Second,
	}
	defer verifier.Close()
	for _, addr := range []string{"66.249.66.1", "66.249.66.1", "192.0.2.1"} {
		r := verifier.Identify(context.Background(), "googlebot", netip.MustParseAddr(addr))
		fmt.Println(addr, r.Verdict, r.Source, r.PTR)
	}
	// Output:
	// 66.249.66.1 genuine dns crawl-66-249-66-1.googlebot.com
	// 66.249.66.1 genuine cache crawl-66-249-66-1.googlebot.com
	// 192.0.2.1 impostor dns crawl-66-249-66-1.googlebot.com
}
