package gate

import (
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// hostname is the host of a Host header or :authority as policy knows hosts: lower case, without port, brackets and the
// dot of a fully qualified name.
func hostname(authority string) string {
	host := authority
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && strings.IndexByte(host[colon:], ']') < 0 {
		host = host[:colon]
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	host = strings.TrimSuffix(host, ".")
	return strings.ToLower(host)
}

// clientIP is the address of the socket's peer; the zero Addr, whose verdict is unknown, where there is none.
func clientIP(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// ids numbers requests so that no two of different runs share an id. The zero value is ready.
type ids struct {
	once   sync.Once
	prefix string
	last   atomic.Uint64
}

func (i *ids) next() string {
	i.once.Do(func() {
		var b [6]byte
		rand.Read(b[:])
		i.prefix = hex.EncodeToString(b[:]) + "-"
	})
	var id [len("0123456789ab-") + 16]byte
	return string(strconv.AppendUint(append(id[:0], i.prefix...), i.last.Add(1), 16))
}
