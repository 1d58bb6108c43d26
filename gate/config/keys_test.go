package config

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestTableIsWellFormed holds every default to its own bounds and words, written as the file would have them.
func TestTableIsWellFormed(t *testing.T) {
	seen := map[[2]string]bool{}
	for _, k := range Keys() {
		name := k.Section + "." + k.Name
		if seen[[2]string{k.Section, k.Name}] {
			t.Errorf("%s: is there twice", name)
		}
		seen[[2]string{k.Section, k.Name}] = true
		if k.Section != "" && !slices.ContainsFunc(Keys(), func(parent Key) bool { return parent.Name == k.Section }) &&
			k.Section != "authority" {
			t.Errorf("%s: stands below %q, which is no key", name, k.Section)
		}
		if k.Words != nil && k.Default != "" && !slices.Contains(k.Words, k.Default) {
			t.Errorf("%s: the default %q is none of %q", name, k.Default, k.Words)
		}
		if (k.Low == "") != (k.High == "") {
			t.Errorf("%s: bounds %q and %q: want both or none", name, k.Low, k.High)
		}
		if k.Low == "" {
			continue
		}
		low, high, standard := amount(t, k.Low), amount(t, k.High), amount(t, k.Low)
		if k.Default != "" {
			standard = amount(t, k.Default)
		}
		if standard < low || standard > high {
			t.Errorf("%s: the default %q is not from %q to %q", name, k.Default, k.Low, k.High)
		}
	}
}

// amount reads a duration, a size or a whole number.
func amount(t *testing.T, s string) int64 {
	t.Helper()
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v
	}
	if v, err := parseSize(s); err == nil {
		return v
	}
	d, err := parseDuration(s)
	if err != nil {
		t.Errorf("%q is no duration, size or number", s)
	}
	return int64(d)
}

// TestEveryKeyWithBoundsIsDecodedByThem writes each such key with its bounds and just beyond them.
func TestEveryKeyWithBoundsIsDecodedByThem(t *testing.T) {
	beyond := func(s string, by int64) string {
		if _, err := strconv.ParseInt(s, 10, 64); err == nil {
			return strconv.FormatInt(number64(s)+by, 10)
		}
		if v, err := parseSize(s); err == nil {
			return strconv.FormatInt(v+by, 10) + "B"
		}
		return (duration(s) + time.Duration(by)).String()
	}
	for _, k := range Keys() {
		if k.Low == "" || k.Section == "dns" { // dns wants other keys beside it
			continue
		}
		for value, accepted := range map[string]bool{k.Low: true, k.High: true, beyond(k.Low, -1): false, beyond(k.High, 1): false} {
			text := "sites: [{hosts: [example.com], origin: http://127.0.0.1:3000, http2_crawl: observe"
			switch k.Section {
			case "sites":
				text += ", " + k.Name + ": " + value
			case "guard":
				text += ", guard: {" + k.Name + ": " + value + "}"
			}
			text += "}]\n"
			switch k.Section {
			case "limits", "verify":
				text += k.Section + ": {" + k.Name + ": " + value + "}\n"
			case "rotate":
				text += "log: {rotate: {" + k.Name + ": " + value + "}}\n"
			}
			if k.Name == "stream_window" && accepted {
				text = text[:len(text)-2] + ", connection_window: 64MiB}\n" // never below a stream's
			}
			if k.Name == "connection_window" && value == k.Low {
				text = text[:len(text)-2] + ", stream_window: 64KiB}\n"
			}
			if _, err := Parse("x.yaml", []byte(text), catalogue()); (err == nil) != accepted {
				t.Errorf("%s.%s: %s: got error %v, want accepted: %v", k.Section, k.Name, value, err, accepted)
			}
		}
	}
}
