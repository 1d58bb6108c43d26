package verify

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// commonCrawlers is the list of developers.google.com/static/crawling/ipranges/common-crawlers.json as it was when this
// version was made.
//
//go:embed ranges/common-crawlers.json
var commonCrawlers string

// Ranges are address ranges that Google publishes for its crawlers. They are immutable and safe for concurrent use; a
// nil *Ranges holds no address. They are shown to people and give lookups a budget of their own. They never influence a
// verdict: lists are late, and being on one is no proof of being asked for.
type Ranges struct {
	created  time.Time
	prefixes map[netip.Prefix]struct{}
	bits4    []int // the prefix lengths that occur, longest first
	bits6    []int
}

// PublishedRanges returns the list of common crawlers that is built in. Parsing costs under a millisecond; keep the
// result.
func PublishedRanges() (*Ranges, error) {
	r, err := ParseRanges([]byte(commonCrawlers))
	if err != nil {
		return nil, fmt.Errorf("built-in list of common crawlers: %w", err)
	}
	return r, nil
}

// ParseRanges reads a list in the form that Google publishes:
//
//	{"creationTime": "2026-01-14T15:45:48.000000", "prefixes": [{"ipv6Prefix": "2001:db8::/64"}, {"ipv4Prefix": "192.0.2.0/27"}]}
//
// creationTime has no zone and is taken for UTC. Keys that are not known are passed over, for lists grow new ones; an
// entry without a prefix, a prefix with bits set behind its length, and a list without entries are errors, and all
// wrong entries are reported.
func ParseRanges(text []byte) (*Ranges, error) {
	var list struct {
		CreationTime string `json:"creationTime"`
		Prefixes     []struct {
			IPv4 string `json:"ipv4Prefix"`
			IPv6 string `json:"ipv6Prefix"`
		} `json:"prefixes"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("ranges: %w", err)
	}
	created, err := time.ParseInLocation("2006-01-02T15:04:05", list.CreationTime, time.UTC)
	if err != nil {
		return nil, fmt.Errorf("ranges: creationTime %q: not like \"2026-01-14T15:45:48.000000\"", list.CreationTime)
	}
	r := &Ranges{created: created, prefixes: make(map[netip.Prefix]struct{}, len(list.Prefixes))}
	var problems []error
	for i, entry := range list.Prefixes {
		for _, side := range []struct {
			text string
			v4   bool
			bits *[]int
		}{{entry.IPv4, true, &r.bits4}, {entry.IPv6, false, &r.bits6}} {
			if side.text == "" {
				continue
			}
			prefix, err := netip.ParsePrefix(side.text)
			if err != nil || prefix.Addr().Is4() != side.v4 || prefix.Addr().Is4In6() || prefix != prefix.Masked() {
				problems = append(problems, fmt.Errorf("ranges: prefix %q: not an address range of its kind", side.text))
				continue
			}
			r.prefixes[prefix] = struct{}{}
			if !slices.Contains(*side.bits, prefix.Bits()) {
				*side.bits = append(*side.bits, prefix.Bits())
			}
		}
		if entry.IPv4 == "" && entry.IPv6 == "" {
			problems = append(problems, fmt.Errorf("ranges: entry %d: neither ipv4Prefix nor ipv6Prefix", i))
		}
	}
	if len(list.Prefixes) == 0 {
		problems = append(problems, errors.New("ranges: no entries"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	for _, bits := range []*[]int{&r.bits4, &r.bits6} {
		slices.SortFunc(*bits, func(a, b int) int { return b - a })
	}
	return r, nil
}

// Find returns the narrowest range that holds addr, and whether there is one. An IPv4 address mapped into IPv6 counts
// as IPv4; a zone is ignored.
func (r *Ranges) Find(addr netip.Addr) (netip.Prefix, bool) {
	if r == nil || !addr.IsValid() {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap().WithZone("")
	lengths := r.bits6
	if addr.Is4() {
		lengths = r.bits4
	}
	for _, bits := range lengths {
		prefix, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		if _, ok := r.prefixes[prefix]; ok {
			return prefix, true
		}
	}
	return netip.Prefix{}, false
}

// Created returns when Google made the list; the zero time for nil.
func (r *Ranges) Created() time.Time {
	if r == nil {
		return time.Time{}
	}
	return r.created
}

// Len returns how many ranges there are.
func (r *Ranges) Len() int {
	if r == nil {
		return 0
	}
	return len(r.prefixes)
}
