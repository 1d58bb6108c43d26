package certs

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// nameserver is authoritative for everything that is asked of it: each zone has a SOA, every other name an A record
// that leads to loopback. TXT records come and go by updates of RFC 2136 that are signed with its key.
type nameserver struct {
	address string // UDP and TCP
	keyFile string // of the key "update."
	zones   []string

	mu    sync.Mutex
	txt   map[string][]string
	cname map[string]string
	lose  bool // updates are taken and forgotten
}

func newNameserver(t *testing.T, zones ...string) *nameserver {
	t.Helper()
	secret := base64.StdEncoding.EncodeToString([]byte("a secret of the tests"))
	n := &nameserver{zones: zones, txt: map[string][]string{}, cname: map[string]string{},
		keyFile: filepath.Join(t.TempDir(), "update.key")}
	if err := os.WriteFile(n.keyFile, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	n.address = tcp.Addr().String()
	udp, err := net.ListenPacket("udp", n.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{Listener: tcp}, {PacketConn: udp}} {
		server.Handler, server.TsigSecret = n, map[string]string{"update.": secret}
		server.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }
		started, ended := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			_ = server.ActivateAndServe()
		}()
		<-started // before that, Shutdown does nothing
		t.Cleanup(func() {
			_ = server.Shutdown()
			<-ended
		})
	}
	return n
}

// dns01 is the configuration for it.
func (n *nameserver) dns01() *DNS {
	return &DNS{Provider: ProviderRFC2136, Server: n.address, KeyName: "update", KeyFile: n.keyFile,
		Resolvers: []string{n.address}}
}

// alias leads one name to another.
func (n *nameserver) alias(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cname[from] = to
}

// forget takes updates from now on and does nothing with them.
func (n *nameserver) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = true
}

func (n *nameserver) records() (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, values := range n.txt {
		for _, value := range values {
			list = append(list, name+" "+value)
		}
	}
	return list
}

func (n *nameserver) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := new(dns.Msg).SetReply(r)
	if r.Opcode == dns.OpcodeUpdate {
		n.update(w, r, m)
	} else {
		n.answer(r.Question[0], m)
	}
	_ = w.WriteMsg(m)
}

func (n *nameserver) update(w dns.ResponseWriter, r, m *dns.Msg) {
	if r.IsTsig() == nil || w.TsigStatus() != nil {
		m.Rcode = dns.RcodeNotAuth
		return
	}
	for _, rr := range r.Ns {
		txt, ok := rr.(*dns.TXT)
		if !ok || n.lose {
			continue
		}
		name, value := strings.ToLower(txt.Hdr.Name), strings.Join(txt.Txt, "")
		if txt.Hdr.Class == dns.ClassINET {
			n.txt[name] = append(n.txt[name], value)
			continue
		}
		var left []string
		for _, other := range n.txt[name] {
			if other != value {
				left = append(left, other)
			}
		}
		n.txt[name] = left
	}
	m.SetTsig(r.IsTsig().Hdr.Name, r.IsTsig().Algorithm, 300, int64(r.IsTsig().TimeSigned))
}

func (n *nameserver) answer(q dns.Question, m *dns.Msg) {
	name := strings.ToLower(q.Name)
	header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET}
	if target := n.cname[name]; target != "" {
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCNAME,
			Class: dns.ClassINET}, Target: target})
		name, header.Name = target, target
	}
	switch q.Qtype {
	case dns.TypeSOA:
		for _, zone := range n.zones {
			if zone == name {
				m.Answer = append(m.Answer, &dns.SOA{Hdr: header, Ns: "ns." + zone, Mbox: "owner." + zone, Serial: 1,
					Refresh: 1, Retry: 1, Expire: 1, Minttl: 1})
			}
		}
	case dns.TypeTXT:
		for _, value := range n.txt[name] {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: header, Txt: []string{value}})
		}
	case dns.TypeA:
		if !strings.HasPrefix(name, "nowhere.") {
			m.Answer = append(m.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
		}
	}
}
