package verify

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// commonCrawlers is the list of developers.google.com/static/crawling/ipranges/common-crawlers.json as it was read on
// the day that its creationTime names.
//
//go:embed ranges/common-crawlers.json
var commonCrawlers string

// Ranges are address ranges that Google publishes for its crawlers. They are immutable and safe for concurrent use; a
// nil *Ranges holds no address. They are shown to people and give lookups a budget of their own. No verdict rests on
// them: lists are late, and forward-confirmed reverse DNS is the proof.
type Ranges struct {
	created  time.Time
	prefixes map[netip.Prefix]struct{}
	bits4    []int // the prefix lengths that occur, longest first
	bits6    []int
	ignored  int // invalid entries
}

// The shortest prefixes that a list may have.
const (
	widest4 = 8 // no publisher owns more
	widest6 = 20
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

// ParseRanges reads a list in the form that Google publishes and draft-illyes-webbotauth-jafar describes:
//
//	{"creationTime": "2026-01-14T15:45:48.000000",
//	 "prefixes": [{"ipv6Prefix": "2001:db8::/64"}, {"ipv4Prefix": "192.0.2.0/27"}]}
//
// creationTime is a day or a time as ISO 8601 writes it, in UTC where it names no zone; a list without one has the zero
// time. Unknown keys are ignored, for lists grow new ones, and so are entries that do not have exactly one of the two
// prefixes, or one with bits set after its length or shorter than /8 (IPv4) or /20 (IPv6): one wrong entry does not
// spoil a list. It is an error if no entry is valid, if there is no key prefixes, and if formatVersion is 2 or later.
func ParseRanges(text []byte) (*Ranges, error) {
	var list struct {
		FormatVersion string            `json:"formatVersion"`
		CreationTime  string            `json:"creationTime"`
		Prefixes      []json.RawMessage `json:"prefixes"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &list); err != nil {
		return nil, fmt.Errorf("ranges: %w", err)
	}
	if err := checkVersion(list.FormatVersion); err != nil {
		return nil, err
	}
	created, err := parseCreated(list.CreationTime)
	if err != nil {
		return nil, err
	}
	if list.Prefixes == nil {
		return nil, errors.New("ranges: no prefixes")
	}
	r := &Ranges{created: created, prefixes: make(map[netip.Prefix]struct{}, len(list.Prefixes))}
	var wrong error // the first
	for i, entry := range list.Prefixes {
		prefix, err := parseEntry(entry)
		if err == nil {
			r.prefixes[prefix] = struct{}{}
			continue
		}
		r.ignored++
		if wrong == nil {
			wrong = fmt.Errorf("ranges: entry %d: %w", i, err)
		}
	}
	if wrong != nil && len(r.prefixes) == 0 {
		return nil, wrong
	}
	r.indexLengths()
	return r, nil
}

// checkVersion returns nil for version 1 of the format, whatever its minor number, and for "".
func checkVersion(version string) error {
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); version != "" && (err != nil || n > 1) {
		return fmt.Errorf("ranges: version %.20q of the format is not known here", version)
	}
	return nil
}

// parseCreated parses a creationTime; "" is the zero time.
func parseCreated(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	upper := strings.Replace(strings.ToUpper(text), " ", "T", 1)
	for _, layout := range []string{
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00",
		"2006-01-02",
	} {
		if t, err := time.ParseInLocation(layout, upper, time.UTC); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("ranges: creationTime %.40q: not like \"2026-01-14T15:45:48Z\"", text)
}

func parseEntry(text []byte) (netip.Prefix, error) {
	var entry struct {
		IPv4 *string `json:"ipv4Prefix"`
		IPv6 *string `json:"ipv6Prefix"`
	}
	if err := json.Unmarshal(text, &entry); err != nil {
		return netip.Prefix{}, err
	}
	switch {
	case entry.IPv4 == nil && entry.IPv6 == nil:
		return netip.Prefix{}, errors.New("neither ipv4Prefix nor ipv6Prefix")
	case entry.IPv4 != nil && entry.IPv6 != nil:
		return netip.Prefix{}, errors.New("both ipv4Prefix and ipv6Prefix")
	case entry.IPv4 != nil:
		return parsePrefix(*entry.IPv4, true)
	}
	return parsePrefix(*entry.IPv6, false)
}

func parsePrefix(text string, is4 bool) (netip.Prefix, error) {
	widest := widest6
	if is4 {
		widest = widest4
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4() != is4 || prefix.Addr().Is4In6() || prefix != prefix.Masked() ||
		prefix.Bits() < widest {
		return netip.Prefix{}, fmt.Errorf("prefix %.60q: not an address range of its kind", text)
	}
	return prefix, nil
}

// indexLengths notes which prefix lengths occur.
func (r *Ranges) indexLengths() {
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

// mergeRanges returns the union of all lists, as old as the oldest of them.
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
		if !r.created.IsZero() && (all.created.IsZero() || r.created.Before(all.created)) {
			all.created = r.created
		}
	}
	all.indexLengths()
	return all
}

// equal reports whether r and other hold the same ranges and were made at the same time; nil equals nothing.
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

// Ignored returns how many entries of the list were invalid.
func (r *Ranges) Ignored() int {
	if r == nil {
		return 0
	}
	return r.ignored
}

// Len returns how many ranges there are.
func (r *Ranges) Len() int {
	if r == nil {
		return 0
	}
	return len(r.prefixes)
}
