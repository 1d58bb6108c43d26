package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gate421/gate/policy"
)

// reader walks the tree once, fills a Config and collects what is wrong on the way. A getter that finds a value of the
// wrong type adds the problem and returns false.
type reader struct {
	file     string
	lines    []string
	widths   []int    // characters of each line
	crawlers []string // names of the catalogue
	problems Problems
	notes    []Problem
	hosts    map[string]*node // of all sites
}

// section checks the keys of a mapping against those the section has and returns the values by key; nil when it is no
// mapping. The empty section is the file itself.
func (r *reader) section(n *node, section string) map[string]*node {
	if n.kind != mapping {
		r.wrongType(n, sectionKind, sectionHint(section))
		return nil
	}
	values := map[string]*node{}
	first := map[string]*node{}
	for _, e := range n.entries {
		key := e.key.text
		if e.value.label == "" {
			e.value.label = n.inner(key)
		}
		if before := first[key]; before != nil {
			r.problem(e.key, "keep one of them", "%s: given twice, first on line %d", e.value.label, before.line)
			continue
		}
		first[key] = e.key
		if !isKey(section, key) {
			where := strings.TrimSuffix(n.inner(""), ".")
			if where != "" && !strings.HasSuffix(where, ": ") {
				where += ": "
			}
			r.problem(e.key, unknownHint(section, key), "%sunknown key %s", where, quote(key))
			continue
		}
		values[key] = e.value
	}
	return values
}

// inner names a key of a mapping: "listen.https", or `site "example.com": origin`.
func (n *node) inner(key string) string {
	switch {
	case n.label == "" || strings.HasSuffix(n.label, ": "):
		return n.label + key
	case key == "":
		return n.label
	}
	return n.label + "." + key
}

// list returns the items of a list, labelled as the list.
func (r *reader) list(n *node, example string) ([]*node, bool) {
	if n.kind != list {
		hint := "write " + example
		if n.kind == text && !strings.ContainsAny(n.text, ",[]{} ") {
			hint = "write [" + n.text + "]"
		}
		r.wrongType(n, "a list", hint)
		return nil, false
	}
	for _, item := range n.items {
		if item.label == "" {
			item.label = n.label
		}
	}
	return n.items, true
}

// text returns a text that may be empty.
func (r *reader) text(n *node, example string) (string, bool) {
	if n.kind != text {
		hint := "write " + example
		switch {
		case n.kind == number || n.kind == boolean:
			hint += "; a text that looks like a number, true or false needs quotes"
		case n.kind == nothing || n.kind == null:
			hint += "; or leave the key out"
		}
		r.wrongType(n, "a text", hint)
		return "", false
	}
	return n.text, true
}

// filled returns a text that is not empty.
func (r *reader) filled(n *node, example string) (string, bool) {
	s, ok := r.text(n, example)
	if ok && strings.TrimSpace(s) == "" {
		r.problem(n, "write "+example, "%s: is empty", n.label)
		return "", false
	}
	return s, ok
}

// choice returns one of the words.
func (r *reader) choice(n *node, words ...string) (string, bool) {
	if n.kind == text {
		for _, word := range words {
			if n.text == word {
				return word, true
			}
		}
		hint := ""
		if near := Nearest(n.text, words); near != "" {
			hint = "did you mean " + near + "?"
		}
		r.problem(n, hint, "%s: must be %s, not %s", n.label, oneOf(words), quote(n.text))
		return "", false
	}
	r.wrongType(n, oneOf(words), "")
	return "", false
}

func (r *reader) boolean(n *node) bool {
	if n.kind == boolean {
		return strings.EqualFold(n.text, "true")
	}
	hint := "write true or false"
	if n.kind == text {
		switch strings.ToLower(n.text) {
		case "yes", "on", "y", "true":
			hint = "write true, without quotes"
		case "no", "off", "n", "false":
			hint = "write false, without quotes"
		}
	}
	r.wrongType(n, "true or false", hint)
	return false
}

// state returns a rule's state.
func (r *reader) state(n *node) (policy.State, bool) {
	if n.kind == text {
		if s, err := policy.ParseState(n.text); err == nil {
			return s, true
		}
	}
	if n.kind == mapping || n.kind == list || n.kind == nothing || n.kind == null {
		r.wrongType(n, "refuse, observe or allow",
			"refuse answers 421, observe only records that it would, allow leaves crawlers alone")
		return 0, false
	}
	hint := "refuse answers 421, observe only records that it would, allow leaves crawlers alone"
	switch word := strings.ToLower(n.text); word {
	case "off", "no", "false", "none", "disable", "disabled", "disallow", "never", "0":
		hint = "is HTTP/2 crawling not wanted? write refuse; is nothing to be refused? write allow"
	case "on", "yes", "true", "enable", "enabled", "always", "1", "pass", "serve":
		hint = "is HTTP/2 crawling wanted? write allow; is it to be refused? write refuse"
	case "421", "block", "deny", "reject", "refused":
		hint = "write refuse"
	case "log", "watch", "monitor", "dry-run", "dryrun", "test", "report":
		hint = "write observe"
	default:
		if near := Nearest(word, []string{"refuse", "observe", "allow"}); near != "" {
			hint = "did you mean " + near + "?"
		}
	}
	is := n.text
	if n.kind == text {
		is = quote(is)
	}
	r.problem(n, hint, "%s: must be refuse, observe or allow, not %s", n.label, is)
	return 0, false
}

// integer returns a number from low to high.
func (r *reader) integer(n *node, low, high int64) (int64, bool) {
	if n.kind != number {
		r.wrongType(n, "a number",
			fmt.Sprintf("write a whole number from %d to %d, without quotes and unit", low, high))
		return 0, false
	}
	v, err := strconv.ParseInt(n.text, 10, 64)
	if err != nil || v < low || v > high || strconv.FormatInt(v, 10) != n.text {
		r.problem(n, "", "%s: must be a whole number from %d to %d, not %s", n.label, low, high, n.text)
		return 0, false
	}
	return v, true
}

// duration returns a duration from low to high.
func (r *reader) duration(n *node, low, high time.Duration) (time.Duration, bool) {
	if n.kind == number {
		r.problem(n, "write the unit: "+n.text+"s; the others are ms, m, h and d", "%s: the duration %s has no unit",
			n.label, n.text)
		return 0, false
	}
	s, ok := r.text(n, "a duration such as 10s")
	if !ok {
		return 0, false
	}
	d, err := parseDuration(s)
	switch {
	case err != nil:
		r.problem(n, "write a number and its unit, such as 500ms, 10s, 1h30m or 7d", "%s: %s is not a duration",
			n.label, quote(s))
	case d < low || d > high:
		r.problem(n, "", "%s: must be from %s to %s, not %s", n.label, spellDuration(low), spellDuration(high), s)
	default:
		return d, true
	}
	return 0, false
}

// size returns a number of bytes from low to high.
func (r *reader) size(n *node, low, high int64) (int64, bool) {
	if n.kind == number {
		r.problem(n, "write the unit: "+n.text+"B; the others are KiB, MiB and GiB", "%s: the size %s has no unit",
			n.label, n.text)
		return 0, false
	}
	s, ok := r.text(n, "a size such as 256KiB")
	if !ok {
		return 0, false
	}
	v, err := parseSize(s)
	switch {
	case err != nil:
		hint := "write a whole number and its unit: B, KiB, MiB or GiB, such as 256KiB"
		if digits := strings.TrimRight(s, "kKmMgGiIbB "); digits != s && digits != "" &&
			!strings.Contains(digits, ".") {
			if unit := strings.ToUpper(strings.TrimSpace(s[len(digits):]))[:1]; strings.Contains("KMG", unit) {
				hint = "write " + digits + unit + "iB"
			}
		}
		r.problem(n, hint, "%s: %s is not a size", n.label, quote(s))
	case v < low || v > high:
		r.problem(n, "", "%s: must be from %s to %s, not %s", n.label, spellSize(low), spellSize(high), s)
	default:
		return v, true
	}
	return 0, false
}

// wrongType says what was wanted and what is there.
func (r *reader) wrongType(n *node, want, hint string) {
	is := "a text"
	switch n.kind {
	case number:
		is = "the number " + n.text
	case boolean:
		is = n.text
	case null:
		is = "null"
	case nothing:
		r.problem(n, hint, "%s: has no value", n.label)
		return
	case mapping:
		is = sectionKind
	case list:
		is = "a list"
	case text:
		is = quote(n.text)
	}
	thing := strings.TrimSuffix(n.label, ": ") + ":"
	if n.label == "" {
		thing = "the file"
	}
	r.problem(n, hint, "%s must be %s, not %s", thing, want, is)
}

// notServed refuses what the contract has and this version has not.
func (r *reader) notServed(n *node, what, hint string) {
	r.problem(n, hint, "%s is not served by this version yet", what)
}

// parseDuration reads Go's syntax and whole days before it.
func parseDuration(s string) (time.Duration, error) {
	days, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		return time.ParseDuration(s)
	}
	n, err := strconv.ParseUint(days, 10, 31)
	if err != nil {
		return 0, err
	}
	if n > uint64(math.MaxInt64/(48*time.Hour)) {
		return math.MaxInt64, nil
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return d, nil
	}
	if rest[0] == '-' || rest[0] == '+' {
		return 0, strconv.ErrSyntax
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more > 24*time.Hour {
		return 0, strconv.ErrSyntax
	}
	return d + more, nil
}

func spellDuration(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 1 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", days)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseSize reads a whole number with its unit; what does not fit is the largest number.
func parseSize(s string) (int64, error) {
	unit, shift := "B", 0
	for i, u := range []string{"KiB", "MiB", "GiB"} {
		if strings.HasSuffix(s, u) {
			unit, shift = u, 10*(i+1)
		}
	}
	digits, ok := strings.CutSuffix(s, unit)
	if !ok || strings.ContainsAny(digits, "+-") {
		return 0, strconv.ErrSyntax
	}
	v, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return v, err
	}
	if v > math.MaxInt64>>shift {
		return math.MaxInt64, nil
	}
	return v << shift, nil
}

func spellSize(v int64) string {
	switch {
	case v >= 1<<20 && v%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", v>>20)
	case v >= 1<<10 && v%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", v>>10)
	}
	return fmt.Sprintf("%dB", v)
}
