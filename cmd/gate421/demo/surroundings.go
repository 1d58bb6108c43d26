package demo

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"gate421/verify"
)

// startSite serves the demo's origin, a small shop, until ctx ends, and returns its address.
func startSite(ctx context.Context) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/robots.txt" {
				io.WriteString(w, "User-agent: *\nAllow: /\n")
				return
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, "<!doctype html><title>Shop</title><p>A page of the shop.\n")
		})}
	go server.Serve(l) // until Close
	context.AfterFunc(ctx, func() { server.Close() })
	return "http://" + l.Addr().String(), nil
}

// zone is what the demo's DNS server answers, by lower-case name: reverse names and the addresses they lead to.
type zone struct {
	reverse map[string]string
	forward map[string]netip.Addr
}

// newZone has a name only for the address with which the gateway probes a DNS server.
func newZone() *zone {
	z := &zone{map[string]string{}, map[string]netip.Addr{}}
	z.add(verify.ProbeAddr().String(), visitor{reverse: "crawl-1.googlebot.com.", forward: true})
	return z
}

func (z *zone) add(address string, v visitor) {
	if v.reverse == "" {
		return
	}
	octets := strings.Split(address, ".")
	slices.Reverse(octets)
	z.reverse[strings.Join(octets, ".")+".in-addr.arpa."] = v.reverse
	if v.forward {
		z.forward[v.reverse] = netip.MustParseAddr(address)
	}
}

// serve starts a DNS server until ctx ends, and returns its address.
func (z *zone) serve(ctx context.Context) (string, error) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { socket.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, client, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			if reply, err := z.reply(buffer[:n]); err == nil {
				socket.WriteTo(reply, client)
			}
		}
	}()
	return socket.LocalAddr().String(), nil
}

// soa is the SOA record that goes with a negative response (RFC 2308 section 2).
func soa(name dnsmessage.Name) dnsmessage.Resource {
	host := dnsmessage.MustNewName("dns.localhost.")
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET, TTL: 60},
		Body:   &dnsmessage.SOAResource{NS: host, MBox: host, MinTTL: 60},
	}
}

// reply is the response to one message, NXDOMAIN for all that is not in the zone.
func (z *zone) reply(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true,
			RecursionDesired: header.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	name := strings.ToLower(question.Name.String())
	var body dnsmessage.ResourceBody
	if target, ok := z.reverse[name]; ok && question.Type == dnsmessage.TypePTR {
		body = &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(target)}
	} else if address, ok := z.forward[name]; ok && question.Type == dnsmessage.TypeA {
		body = &dnsmessage.AResource{A: address.As4()}
	} else {
		m.RCode = dnsmessage.RCodeNameError
		m.Authorities = []dnsmessage.Resource{soa(question.Name)}
	}
	if body != nil {
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type,
			Class: dnsmessage.ClassINET, TTL: 300}, Body: body}}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	return packed, nil
}
