package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// nameserver is a DNS server on loopback that answers from a zone, or misbehaves as it is told to.
type nameserver struct {
	socket net.PacketConn
	mu     sync.Mutex
	zone   *zone
	fault  string        // "" answers properly
	delay  time.Duration // before each answer
}

func newNameserver(t *testing.T) *nameserver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameserver{socket: socket, zone: newZone()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.serve()
	}()
	t.Cleanup(func() {
		socket.Close()
		<-ended
	})
	return n
}

func (n *nameserver) address() string { return n.socket.LocalAddr().String() }

func (n *nameserver) serve() {
	buffer := make([]byte, 1500)
	for {
		size, client, err := n.socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		answer, delay := n.answer(buffer[:size])
		switch {
		case answer == nil:
		case delay > 0:
			time.AfterFunc(delay, func() { n.socket.WriteTo(answer, client) })
		default:
			n.socket.WriteTo(answer, client)
		}
	}
}

// answer is what the fault makes of the zone's answer; nil is silence.
func (n *nameserver) answer(query []byte) ([]byte, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := n.zone
	if n.fault != "" {
		from = newZone()
	}
	answer, err := from.answer(query)
	if err != nil {
		return nil, 0
	}
	const codes, firstLetter = 3, 13
	switch n.fault {
	case "silent":
		return nil, 0
	case "servfail":
		answer[codes] = answer[codes]&0xf0 | 2
	case "refused":
		answer[codes] = answer[codes]&0xf0 | 5
	case "garbage":
		answer = []byte("this is no DNS message")
	case "lying": // answers a question that nobody asked
		answer[firstLetter] ^= 0x01
	}
	return answer, n.delay
}

// tell takes lines as scenarios have them:
//
//	127.0.0.2 crawl-1.googlebot.com 127.0.0.2   address, its reverse name, where that leads ("" nowhere)
//	fault silent                                silent, servfail, refused, garbage, lying, or none
//	slow 300ms                                  before each answer
//	down                                        for good
func (n *nameserver) tell(lines []string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, line := range lines {
		words := strings.Fields(line)
		switch {
		case words[0] == "down":
			n.socket.Close()
		case words[0] == "fault" && len(words) == 2:
			n.fault = strings.Replace(words[1], "none", "", 1)
			if !strings.Contains("silent servfail refused garbage lying", n.fault) {
				return fmt.Errorf("dns: no fault %q", n.fault)
			}
		case words[0] == "slow" && len(words) == 2:
			delay, err := time.ParseDuration(words[1])
			if err != nil {
				return err
			}
			n.delay = delay
		default:
			address, err := netip.ParseAddr(words[0])
			if err != nil || len(words) < 2 || len(words) > 3 {
				return fmt.Errorf("dns: %q is neither an address with its names nor a fault", line)
			}
			name := words[1] + "."
			n.zone.add(address.String(), visitor{reverse: name})
			if len(words) == 3 {
				n.zone.forward[name] = netip.MustParseAddr(words[2])
			}
		}
	}
	return nil
}

// googlebotAt makes an address a crawler that can be proven.
func (n *nameserver) googlebotAt(t *testing.T, address string) {
	t.Helper()
	name := "crawl-" + strings.ReplaceAll(address, ".", "-") + ".googlebot.com"
	if err := n.tell([]string{address + " " + name + " " + address}); err != nil {
		t.Fatal(err)
	}
}
