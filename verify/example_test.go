package verify_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"gate421/verify"

	"github.com/miekg/dns"
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
	server, err := serveZone(`
1.66.249.66.in-addr.arpa.        300 IN PTR crawl-66-249-66-1.googlebot.com.
crawl-66-249-66-1.googlebot.com. 300 IN A   66.249.66.1
1.2.0.192.in-addr.arpa.          300 IN PTR crawl-66-249-66-1.googlebot.com.`)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Shutdown()

	verifier := &verify.Verifier{
		Resolver: &verify.Resolver{Servers: []string{server.PacketConn.LocalAddr().String()}},
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

func serveZone(text string) (*dns.Server, error) {
	mux := dns.NewServeMux()
	mux.HandleFunc(".", func(w dns.ResponseWriter, req *dns.Msg) {
		m := new(dns.Msg)
		w.WriteMsg(m.SetRcode(req, dns.RcodeNameError))
	})
	records := dns.NewZoneParser(strings.NewReader(text), ".", "")
	for record, ok := records.Next(); ok; record, ok = records.Next() {
		mux.HandleFunc(record.Header().Name, func(w dns.ResponseWriter, req *dns.Msg) {
			m := new(dns.Msg)
			m.SetReply(req)
			m.Answer = []dns.RR{dns.Copy(record)}
			m.Answer[0].Header().Name = req.Question[0].Name
			w.WriteMsg(m)
		})
	}
	if err := records.Err(); err != nil {
		return nil, err
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, Handler: mux, NotifyStartedFunc: func() { close(started) }}
	go server.ActivateAndServe()
	<-started
	return server, nil
}
