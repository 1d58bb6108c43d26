//go:build peers

package peers

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is a DNS server over UDP. What is not in it does not exist.
type zone struct {
	reverse map[string]string     // names of addresses, ending in a dot, by the name that is asked for
	forward map[string]netip.Addr // the address of a name that ends in a dot
	ttl     uint32                // seconds that its records live
	mute    atomic.Bool           // it hears and does not answer
	socket  net.PacketConn
	idle    sync.WaitGroup
	treated atomic.Pointer[treatment]
}

// treatment says what is sent instead of an answer; nil: nothing. It has a goroutine of its own and may take its time.
type treatment func(query, answer []byte) []byte

// treat makes the zone treat its answers from now on; nil: it gives them as they are.
func (z *zone) treat(how treatment) {
	if how == nil {
		z.treated.Store(nil)
		return
	}
	z.treated.Store(&how)
}

// startZone serves the names on 127.0.0.1. An address's name leads back to it, unless leads says elsewhere.
func startZone(t *testing.T, names map[string]string, leads map[string]string) *zone {
	t.Helper()
	z := newZone(names, leads)
	z.listen(t, "127.0.0.1:0")
	t.Cleanup(z.stop)
	return z
}

func newZone(names map[string]string, leads map[string]string) *zone {
	z := &zone{reverse: map[string]string{}, forward: map[string]netip.Addr{}, ttl: 300}
	for address, name := range names {
		addr := netip.MustParseAddr(address)
		z.reverse[reverseName(addr)] = name + "."
		if _, elsewhere := leads[name]; !elsewhere {
			z.forward[name+"."] = addr
		}
	}
	for name, address := range leads {
		if address != "" {
			z.forward[name+"."] = netip.MustParseAddr(address)
		}
	}
	return z
}

// listen serves at an address, until stop.
func (z *zone) listen(t *testing.T, address string) {
	t.Helper()
	var err error
	if z.socket, err = net.ListenPacket("udp", address); err != nil {
		t.Fatal(err)
	}
	z.idle.Go(z.serve)
}

func (z *zone) address() string { return z.socket.LocalAddr().String() }

// stop closes the socket: who asks from now on is told that nobody listens.
func (z *zone) stop() {
	z.socket.Close()
	z.idle.Wait()
}

func (z *zone) serve() {
	buffer := make([]byte, 4096)
	for {
		n, client, err := z.socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		answer := z.answer(buffer[:n])
		if answer == nil || z.mute.Load() {
			continue
		}
		if how := z.treated.Load(); how != nil {
			query := bytes.Clone(buffer[:n])
			z.idle.Go(func() {
				if treated := (*how)(query, answer); treated != nil {
					z.socket.WriteTo(treated, client)
				}
			})
			continue
		}
		z.socket.WriteTo(answer, client)
	}
}

// answer is nil for what is no question.
func (z *zone) answer(query []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil
	}
	question, err := parser.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(question.Name.String())
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	add := func(body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: z.ttl}, Body: body})
	}
	pointer, reversed := z.reverse[name]
	address, named := z.forward[name]
	switch {
	case !reversed && !named:
		m.RCode = dnsmessage.RCodeNameError
	case reversed && question.Type == dnsmessage.TypePTR:
		add(&dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(pointer)})
	case named && question.Type == dnsmessage.TypeA && address.Is4():
		add(&dnsmessage.AResource{A: address.As4()})
	case named && question.Type == dnsmessage.TypeAAAA && address.Is6():
		add(&dnsmessage.AAAAResource{AAAA: address.As16()})
	}
	if len(m.Answers) == 0 {
		m.Authorities = []dnsmessage.Resource{startOfAuthority(name)}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// startOfAuthority is the SOA record of the zone that a name is in, which proves that there is nothing of that name (RFC 2308).
func startOfAuthority(name string) dnsmessage.Resource {
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	zone := strings.Join(labels[max(0, len(labels)-2):], ".") + "."
	host := dnsmessage.MustNewName("ns.google.com.")
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(zone), Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET, TTL: 60},
		Body:   &dnsmessage.SOAResource{NS: host, MBox: host, MinTTL: 60},
	}
}

// reverseName is the name that an address's PTR records are under (RFC 1035 section 3.5, RFC 3596 section 2.5).
func reverseName(addr netip.Addr) string {
	name := ""
	if addr.Is4() {
		for _, b := range addr.As4() {
			name = fmt.Sprintf("%d.%s", b, name)
		}
		return name + "in-addr.arpa."
	}
	for _, b := range addr.As16() {
		name = fmt.Sprintf("%x.%x.%s", b&15, b>>4, name)
	}
	return name + "ip6.arpa."
}
