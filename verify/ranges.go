package verify

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// commonCrawlers is the list of developers.google.com/static/crawling/ipranges/common-crawlers.json as it was read on
// the day that its creationTime names.
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

// Bounds on what a list can say.
const (
	widest4      = 8  // prefix length: no publisher owns more
	widest6      = 20 // prefix length
	mostProblems = 10 // reported of one list
)

// PublishedRanges returns the list of common crawlers that is built in, made on 22 September 2026. Parsing costs under
// a millisecond; keep the result.
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
// entry without a prefix, a prefix with bits set behind its length or wider than /8 (IPv4) or /20 (IPv6), and a list
// without entries are errors. The first 10 wrong entries are reported.
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
		if entry.IPv4 == "" && entry.IPv6 == "" {
			problems = append(problems, fmt.Errorf("ranges: entry %d: neither ipv4Prefix nor ipv6Prefix", i))
		}
		if entry.IPv4 != "" {
			problems = append(problems, r.add(entry.IPv4, true))
		}
		if entry.IPv6 != "" {
			problems = append(problems, r.add(entry.IPv6, false))
		}
	}
	if len(list.Prefixes) == 0 {
		problems = append(problems, errors.New("ranges: no entries"))
	}
	problems = slices.DeleteFunc(problems, func(err error) bool { return err == nil })
	if err := errors.Join(problems[:min(len(problems), mostProblems)]...); err != nil {
		return nil, err
	}
	r.measure()
	return r, nil
}

func (r *Ranges) add(text string, is4 bool) error {
	widest := widest6
	if is4 {
		widest = widest4
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4() != is4 || prefix.Addr().Is4In6() || prefix != prefix.Masked() || prefix.Bits() < widest {
		return fmt.Errorf("ranges: prefix %q: not an address range of its kind", text)
	}
	r.prefixes[prefix] = struct{}{}
	return nil
}

// measure notes which prefix lengths occur.
func (r *Ranges) measure() {
	for prefix := range r.prefixes {
		bits := &r.bits6
		if prefix.Addr().Is4() {
			bits = &r.bits4
		}
		if !slices.Contains(*bits, prefix.Bits()) {
			*bits = append(*bits, prefix.Bits())
		}
	}
	for _, bits := range [][]int{r.bits4, r.bits6} {
		slices.SortFunc(bits, func(a, b int) int { return b - a })
	}
}

// mergeRanges returns what holds the addresses of all lists, as old as the oldest of them.
func mergeRanges(lists []*Ranges) *Ranges {
	if len(lists) == 1 && lists[0] != nil {
		return lists[0]
	}
	all := &Ranges{prefixes: map[netip.Prefix]struct{}{}}
	for _, r := range lists {
		if r == nil {
			continue
		}
		maps.Copy(all.prefixes, r.prefixes)
		if all.created.IsZero() || r.created.Before(all.created) {
			all.created = r.created
		}
	}
	all.measure()
	return all
}

// equal reports whether r and other hold the same ranges and were made at the same time; a list equals no nil.
func (r *Ranges) equal(other *Ranges) bool {
	return other != nil && r.created.Equal(other.created) && maps.Equal(r.prefixes, other.prefixes)
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
