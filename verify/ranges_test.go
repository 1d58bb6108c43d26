package verify

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPublishedRanges(t *testing.T) {
	r, err := PublishedRanges()
	if err != nil {
		t.Fatal(err)
	}
	if r.Len() < 100 || r.Created().Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) ||
		r.Created().Location() != time.UTC {
		t.Errorf("got %d ranges created %v, want more than 100 of 2026 or later", r.Len(), r.Created())
	}
	cases := map[string]string{
		"66.249.66.1":              "66.249.66.0/27",
		"::ffff:66.249.66.1":       "66.249.66.0/27",
		"2001:4860:4801:10::1":     "2001:4860:4801:10::/64",
		"2001:4860:4801:10::1%lo":  "2001:4860:4801:10::/64",
		"2001:4860:4801:10:ffff::": "2001:4860:4801:10::/64",
		"95.216.227.158":           "",
		"91.208.197.96":            "",
		"127.0.0.1":                "",
		"::1":                      "",
		"2001:db8::1":              "",
	}
	for addr, want := range cases {
		prefix, ok := r.Find(netip.MustParseAddr(addr))
		if ok != (want != "") || ok && prefix.String() != want {
			t.Errorf("Find(%s) = %v, %v, want %q", addr, prefix, ok, want)
		}
	}
	if _, ok := r.Find(netip.Addr{}); ok {
		t.Error("got a range for the zero address, want none")
	}
	var none *Ranges
	if _, ok := none.Find(netip.MustParseAddr(googlebotAddr)); ok || none.Len() != 0 || !none.Created().IsZero() {
		t.Error("got something from a nil *Ranges, want nothing")
	}
}

func TestParseRanges(t *testing.T) {
	const head = `{"creationTime": "2026-01-14T15:45:48.000000", "prefixes": [`
	r, err := ParseRanges(
		[]byte(
			head + `{"ipv4Prefix": "192.0.2.0/24", "comment": "new"}, {"ipv4Prefix": "192.0.2.32/27"}, {"ipv6Prefix": "2001:db8::/64"}], "more": 1}`,
		),
	)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Created(), time.Date(2026, 1, 14, 15, 45, 48, 0, time.UTC); !got.Equal(want) {
		t.Errorf("created %v, want %v", got, want)
	}
	for addr, want := range map[string]string{
		"192.0.2.33": "192.0.2.32/27", "192.0.2.1": "192.0.2.0/24", "2001:db8::5": "2001:db8::/64",
	} {
		if got, _ := r.Find(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("Find(%s) = %s, want %s", addr, got, want)
		}
	}
	reject := map[string]string{
		``:       "ranges: ",
		`<html>`: "ranges: ",
		`[]`:     "ranges: ",
		`{"creationTime": "2026-01-14T15:45:48Z"}`:        "no prefixes",
		`{"prefixes": null}`:                              "no prefixes",
		`{"prefixes": "FILL OUT"}`:                        "ranges: ",
		`{"creationTime": 1768405548, "prefixes": []}`:    "ranges: ",
		`{"creationTime": "yesterday", "prefixes": []}`:   `creationTime "yesterday"`,
		`{"formatVersion": "2.0", "prefixes": []}`:        `version "2.0"`,
		`{"formatVersion": "tomorrow's", "prefixes": []}`: `version "tomorrow's"`,
		// Not one entry of use.
		head + `{}]}`: "entry 0",
		head + `{"ipv4Prefix": "2001:db8::/64"}]}`:                                  `"2001:db8::/64"`,
		head + `{"ipv6Prefix": "192.0.2.0/24"}]}`:                                   `"192.0.2.0/24"`,
		head + `{"ipv6Prefix": "::ffff:192.0.2.0/120"}]}`:                           `"::ffff:192.0.2.0/120"`,
		head + `{"ipv4Prefix": "192.0.2.1/24"}]}`:                                   `"192.0.2.1/24"`,
		head + `{"ipv4Prefix": "192.0.2.1"}]}`:                                      `"192.0.2.1"`,
		head + `{"ipv4Prefix": "x"}, {"ipv4Prefix": "y"}]}`:                         `"x"`,
		head + `{"ipv4Prefix": "192.0.2.0/24", "ipv6Prefix": "2001:db8::/64"}, 7]}`: "both",
	}
	for text, want := range reject {
		if _, err := ParseRanges([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRanges(%s): error %v does not say %s", text, err, want)
		}
	}
}

// TestParseRangesIgnoresTheUnknown has what lists may grow: other ways to write a time, entries and keys that nobody
// knows yet.
func TestParseRangesIgnoresTheUnknown(t *testing.T) {
	noon := time.Date(2026, 1, 14, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-01-14T12:00:00.000000": noon, "2026-01-14T12:00:00": noon, "2026-01-14T12:00:00Z": noon,
		"2026-01-14T12:00:00z":   noon,
		"2026-01-14T12:00:00.5Z": noon.Add(time.Second / 2), "2026-01-14T14:00:00+02:00": noon,
		"2026-01-14T14:00:00.25+0200":   noon.Add(time.Second / 4),
		"2026-01-14T04:00:00,000-08:00": noon, "2026-01-14 12:00:00": noon, "2026-01-14T12:00Z": noon,
		"2026-01-14": noon.Truncate(24 * time.Hour),
	} {
		r, err := ParseRanges([]byte(`{"creationTime": "` + text + `", "prefixes": [{"ipv4Prefix": "192.0.2.0/24"}]}`))
		if err != nil || !r.Created().Equal(want) || r.Created().Location() != time.UTC {
			t.Errorf("%s: %v, %v, want %v", text, r.Created(), err, want)
		}
	}
	r, err := ParseRanges([]byte("\ufeff" + `{
		"formatVersion": "1.9", "synctoken": "1768405548", "notes": ["several"], "expires": {"at": 1},
		"prefixes": [
			{"ipv4Prefix": "192.0.2.0/24", "services": ["AdsBot-Google", "Googlebot"]},
			{"ipv6Prefix": "2001:db8::/64", "service": "Googlebot"},
			{"ipv4Prefix": "198.51.100.0/24", "ipv6Prefix": "2001:db8:1::/64"},
			{"ipv4Prefix": "198.51.100.0/24", "ipv6Prefix": ""},
			{}, {"services": []}, {"ipv9Prefix": "1:2:3"}, {"ipv4Prefix": null}, {"ipv4Prefix": 7}, null, "203.0.113.0/24", [],
			{"ipv4Prefix": "0.0.0.0/0"}, {"ipv6Prefix": "::/0"}, {"ipv4Prefix": "203.0.113.1/24"},
			{"ipv4Prefix": "2001:db8::/64"},
			{"ipv4Prefix": "203.0.113.0/28", "ipv6prefixes": []}
		]}`))
	if err != nil || r.Len() != 3 || r.Ignored() != 14 || !r.Created().IsZero() {
		t.Fatalf("got %d ranges, %d entries ignored, created %v, %v; want 3, 14, never, no error",
			r.Len(), r.Ignored(), r.Created(), err)
	}
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "203.0.113.9": true,
		"203.0.113.99": false, "198.51.100.1": false, "8.8.8.8": false,
	} {
		if _, ok := r.Find(netip.MustParseAddr(addr)); ok != want {
			t.Errorf("%s: got it found: %v, want %v", addr, ok, want)
		}
	}
	if empty, err := ParseRanges([]byte(`{"creationTime": "2026-01-14T12:00:00Z", "prefixes": []}`)); err != nil ||
		empty.Len() != 0 {
		t.Errorf("an empty list: got %d ranges, %v; want none and no error", empty.Len(), err)
	}
}

// FuzzRanges: whatever a list says, it is rejected or in order, and holds just what it lists.
func FuzzRanges(f *testing.F) {
	f.Add([]byte(listOf(later, 3)))
	f.Add(
		[]byte(
			`{"creationTime": "2026-01-14T15:45:48.000000", "prefixes": [{"ipv6Prefix": "2001:db8::/64"}, {"ipv4Prefix": "192.0.2.0/27"}]}`,
		),
	)
	f.Add([]byte(`{"creationTime": "2026-01-14T15:45:48", "prefixes": [{"ipv4Prefix": "0.0.0.0/0"}, {}]}`))
	f.Add(
		[]byte(`{"creationTime": "x", "prefixes": [{"ipv6Prefix": "::ffff:1.2.3.0/120"}, {"ipv6Prefix": "fe80::%1/64"}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRanges(text)
		if err != nil {
			if r != nil || len(err.Error()) > 400 {
				t.Errorf("got %v and the error %v, want nil and a short one", r, err)
			}
			return
		}
		if r.Len() == 0 && r.Ignored() > 0 {
			t.Errorf("got no ranges and no error with %d entries ignored, want an error", r.Ignored())
		}
		for prefix := range r.prefixes {
			widest := widest6
			if prefix.Addr().Is4() {
				widest = widest4
			}
			if prefix != prefix.Masked() || prefix.Bits() < widest || prefix.Addr().Is4In6() {
				t.Errorf("got the range %v, want it rejected", prefix)
			}
			if found, ok := r.Find(prefix.Addr()); !ok || !found.Contains(prefix.Addr()) || found.Bits() < prefix.Bits() {
				t.Errorf("Find(%v): got %v, %v; want the narrowest that holds it", prefix.Addr(), found, ok)
			}
		}
		for _, addr := range []string{"127.0.0.1", "192.0.2.1", "2001:db8::1", "::1"} {
			addr := netip.MustParseAddr(addr)
			listed := false
			for prefix := range r.prefixes {
				listed = listed || prefix.Contains(addr)
			}
			if _, ok := r.Find(addr); ok != listed {
				t.Errorf("Find(%v): got %v, want %v", addr, ok, listed)
			}
		}
		if again := mergeRanges([]*Ranges{r, nil, r}); !again.equal(r) {
			t.Errorf("merged with itself: got %v, want the same list", again)
		}
	})
}
