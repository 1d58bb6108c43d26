package verify_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"gate421/verify"
	"gate421/verify/verifytest"
)

// A server of net/http that sends Googlebot back to HTTP/1.1 and serves everyone else. In this example's zone its
// client is Googlebot.
func Example_server() {
	zone := verifytest.NewServer(`
1.0.0.127.in-addr.arpa.        300 IN PTR crawl-127-0-0-1.googlebot.com.
crawl-127-0-0-1.googlebot.com. 300 IN A   127.0.0.1`)
	defer zone.Close()

	claims, err := verify.NewClaims([]string{"googlebot"})
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier := &verify.Verifier{
		Resolver: &verify.Resolver{Servers: []string{zone.Addr()}},
		Wait:     time.Second,
	}
	defer verifier.Close()

	handler := func(w http.ResponseWriter, r *http.Request) {
		crawler := claims.Of(r.UserAgent())
		client, err := netip.ParseAddrPort(r.RemoteAddr)
		if err == nil && crawler != "" && r.ProtoMajor == 2 && r.URL.Path != "/robots.txt" &&
			verifier.Identify(r.Context(), crawler, client.Addr()).Verdict == verify.Genuine {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "421: please crawl over HTTP/1.1.", http.StatusMisdirectedRequest)
			return
		}
		io.WriteString(w, "A page.\n")
	}

	for _, http2 := range []bool{true, false} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(handler))
		server.EnableHTTP2 = http2
		server.StartTLS()
		for _, agent := range []string{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "curl/8.5.0"} {
			request, err := http.NewRequest(http.MethodGet, server.URL, nil)
			if err != nil {
				fmt.Println(err)
				return
			}
			request.Header.Set("User-Agent", agent)
			response, err := server.Client().Do(request)
			if err != nil {
				fmt.Println(err)
				return
			}
			response.Body.Close()
			fmt.Println(response.Proto, response.StatusCode, agent)
		}
		server.Close()
	}
	// Output:
	// HTTP/2.0 421 Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)
	// HTTP/2.0 200 curl/8.5.0
	// HTTP/1.1 200 Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)
	// HTTP/1.1 200 curl/8.5.0
}

// Crawlers that the catalogue does not have are recognised and verified in the same way.
func ExampleVerifier_crawlers() {
	zone := verifytest.NewServer(`
1.39.55.157.in-addr.arpa.          300 IN PTR msnbot-157-55-39-1.search.msn.com.
msnbot-157-55-39-1.search.msn.com. 300 IN A   157.55.39.1`)
	defer zone.Close()

	crawlers := append(verify.Catalogue(), verify.Crawler{
		Name: "bingbot", Tokens: []string{"bingbot"}, Names: []string{"msnbot-*.search.msn.com"},
	})
	claims, err := verify.ClaimsOf(crawlers)
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier := &verify.Verifier{
		Crawlers: crawlers,
		Resolver: &verify.Resolver{Servers: []string{zone.Addr()}},
	}
	defer verifier.Close()

	crawler := claims.Of("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)")
	done := make(chan verify.Result)
	verifier.IdentifyAsync(crawler, netip.MustParseAddr("157.55.39.1"), func(r verify.Result) { done <- r })
	result := <-done
	fmt.Println(crawler, result.Verdict, result.PTR)
	// Output:
	// bingbot genuine msnbot-157-55-39-1.search.msn.com
}
