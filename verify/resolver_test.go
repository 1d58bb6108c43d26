package verify

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseResolver(t *testing.T) {
	accept := map[string]*Resolver{
		"192.0.2.53:53":                    {Servers: []string{"192.0.2.53:53"}},
		"192.0.2.53":                       {Servers: []string{"192.0.2.53:53"}},
		"192.0.2.53:5353":                  {Servers: []string{"192.0.2.53:5353"}},
		"[2001:db8::53]:53":                {Servers: []string{"[2001:db8::53]:53"}},
		"[2001:db8::53]":                   {Servers: []string{"[2001:db8::53]:53"}},
		"2001:db8::53":                     {Servers: []string{"[2001:db8::53]:53"}},
		"tls://192.0.2.53:853#dns.example": {Servers: []string{"192.0.2.53:853"}, TLSName: "dns.example"},
		"tls://192.0.2.53#dns.example":     {Servers: []string{"192.0.2.53:853"}, TLSName: "dns.example"},
		"tls://[2001:db8::53]#DNS.example": {Servers: []string{"[2001:db8::53]:853"}, TLSName: "dns.example"},
	}
	for s, want := range accept {
		got, err := ParseResolver(s)
		if err != nil {
			t.Errorf("ParseResolver(%q): got the error %v, want none", s, err)
		} else if !slices.Equal(got.Servers, want.Servers) || got.TLSName != want.TLSName {
			t.Errorf("ParseResolver(%q) = %v %q, want %v %q", s, got.Servers, got.TLSName, want.Servers, want.TLSName)
		}
	}
	reject := []string{
		"", "dns.example", "dns.example:53", "192.0.2.53:0", "192.0.2.53:65536", "192.0.2.53:", "192.0.2.53:53#x", "192.0.2",
		"tls://192.0.2.53:853", "tls://192.0.2.53:853#", "tls://#dns.example", "tls://dns.example#dns.example",
		"tls://192.0.2.53:853#dns example", "tls://192.0.2.53:853#a..b", "https://192.0.2.53", "System", " 192.0.2.53",
		"192.0.2.53,192.0.2.54",
	}
	for _, s := range reject {
		_, err := ParseResolver(s)
		if err == nil {
			t.Errorf("ParseResolver(%q): got no error, want one", s)
			continue
		}
		if !strings.HasPrefix(err.Error(), "resolver \""+s+"\": ") || !strings.Contains(err.Error(), acceptedForms) {
			t.Errorf("ParseResolver(%q): got the error %q, want one that quotes it and lists the forms", s, err)
		}
	}
}

// TestResolverFailures puts each kind of trouble in front of a genuine crawler: none may make it anything but Unknown.
func TestResolverFailures(t *testing.T) {
	cases := []struct{ fault, cause string }{
		{"silent", CauseTimeout},
		{"servfail", CauseServfail},
		{"refused", CauseRefused},
		{"notimp", CauseNotImp},
		{"referral", CauseLame},
		{"lame", CauseLame},
		{"lame-nxdomain", CauseLame},
		{"garbage", CauseGarbage},
		{"short", CauseGarbage},
		{"wrongid", CauseGarbage},
		{"wrongquestion", CauseGarbage},
		{"wrongtype", CauseGarbage},
		{"noquestion", CauseGarbage},
		{"notresponse", CauseGarbage},
		{"othername", CauseGarbage},
		{"truncated", CauseTruncated},
	}
	for _, c := range cases {
		for _, name := range []string{googlebotPTR, googlebotName + "."} {
			t.Run(c.fault+" "+name, func(t *testing.T) {
				inBubble(t, googlebotZone+"\nfault "+name+" "+c.fault, func(t *testing.T, z *zone, v *Verifier) {
					got := v.Lookup(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr))
					want(t, got, Unknown, SourceDNS, c.cause)
				})
			})
		}
	}
}

// TestResolverStrays is the part of the above that differs on real sockets: datagrams that do not belong to the
// question.
func TestResolverStrays(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"wrongid", "garbage", "short"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			z := newZone(googlebotZone + "\nfault * " + fault)
			v := &Verifier{Resolver: &Resolver{Servers: []string{z.serve(t)}, Timeout: 600 * time.Millisecond}}
			defer v.Close()
			got := v.Lookup(context.Background(), "googlebot", netip.MustParseAddr(googlebotAddr))
			want(t, got, Unknown, SourceDNS, CauseGarbage)
		})
	}
}

func TestResolverCopes(t *testing.T) {
	for _, fault := range []string{"truncated-udp", "foldcase", "formerr-edns"} {
		t.Run(fault, func(t *testing.T) {
			checkLeaks(t)
			z := newZone(googlebotZone + "\nfault * " + fault)
			v := &Verifier{Resolver: &Resolver{Servers: []string{z.serve(t)}}}
			defer v.Close()
			if got := v.Lookup(context.Background(), "googlebot", netip.MustParseAddr(googlebotAddr)); got.Verdict != Genuine {
				t.Errorf("got %s, cause %q; want genuine", got.Verdict, got.Cause)
			}
		})
	}
}

func TestResolverRotates(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"silent", "servfail", "refused", "referral", "lame", "garbage"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			lame, good := newZone("fault * "+fault), newZone(googlebotZone)
			r := &Resolver{Servers: []string{lame.serve(t), good.serve(t)}}
			v := &Verifier{Resolver: r}
			defer v.Close()
			if got := v.Lookup(context.Background(), "googlebot", netip.MustParseAddr(googlebotAddr)); got.Verdict != Genuine {
				t.Errorf("got %s, cause %q; want genuine", got.Verdict, got.Cause)
			}
			if n := lame.count(googlebotName + ". A"); n != 0 {
				t.Errorf("got %d queries at the bad server after the other one had responded, want none", n)
			}
		})
	}
}

func TestResolverUnreachable(t *testing.T) {
	checkLeaks(t)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := socket.LocalAddr().String()
	socket.Close()
	good := newZone(googlebotZone)
	for _, c := range []struct {
		resolver *Resolver
		verdict  Verdict
		cause    string
	}{
		{&Resolver{Servers: []string{dead}}, Unknown, CauseUnreachable},
		{&Resolver{Servers: []string{dead, good.serve(t)}}, Genuine, ""},
		{&Resolver{}, Unknown, CauseResolver},
		{nil, Unknown, CauseResolver},
	} {
		v := &Verifier{Resolver: c.resolver}
		got := v.Lookup(context.Background(), "googlebot", netip.MustParseAddr(googlebotAddr))
		if got.Verdict != c.verdict || got.Cause != c.cause {
			t.Errorf("got %s, cause %q; want %s, cause %q", got.Verdict, got.Cause, c.verdict, c.cause)
		}
		v.Close()
	}
}

func TestResolverOverTLS(t *testing.T) {
	checkLeaks(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"dns.example"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	listener, err := tls.Listen("tcp", "127.0.0.1:0",
		&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	z := newZone(googlebotZone)
	z.Serve(listener)
	t.Cleanup(z.Close)

	for _, c := range []struct {
		name    string
		roots   *x509.CertPool
		verdict Verdict
		cause   string
	}{
		{"dns.example", roots, Genuine, ""},
		{"other.example", roots, Unknown, CauseTLS},
		{"dns.example", x509.NewCertPool(), Unknown, CauseTLS},
	} {
		r, err := ParseResolver("tls://" + listener.Addr().String() + "#" + c.name)
		if err != nil {
			t.Fatal(err)
		}
		r.RootCAs = c.roots
		v := &Verifier{Resolver: r}
		got := v.Lookup(context.Background(), "googlebot", netip.MustParseAddr(googlebotAddr))
		if got.Verdict != c.verdict || got.Cause != c.cause {
			t.Errorf("name %q: got %s, cause %q; want %s, cause %q", c.name, got.Verdict, got.Cause, c.verdict, c.cause)
		}
		v.Close()
	}
}
