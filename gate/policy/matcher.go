package policy

import (
	"cmp"
	"slices"
	"strings"
	"unsafe"
)

// matcher finds the longest pattern that matches a path. Patterns come in three kinds, each with its own way, so that
// the cost depends on the path and on the few wildcard patterns but hardly on the number of prefixes: whole paths
// ("/a$") in a table, prefixes sorted, wildcard patterns in a list from the longest down.
type matcher struct {
	whole    map[string]*pattern
	prefixes []*pattern // sorted by text
	wild     []*pattern // longest first, of two as long the less restrictive
	robots   *pattern   // what /robots.txt gets, and nothing else does
	escapes  [256]bool  // bytes that make a path need its canonical form computed
}

type pattern struct {
	rule   Rule
	text   string // canonical, without a final "$"
	length int    // what counts for "longest": the canonical pattern with its "$"
	outer  *pattern
	parts  []string // between the wildcards; one part: no wildcard
	end    bool     // "$"
	pairs  pairs    // what a matching path holds
}

func newMatcher(rules []Rule) matcher {
	m := matcher{whole: map[string]*pattern{}}
	for c := range m.escapes {
		m.escapes[c] = kind(byte(c)) != plain
	}
	var robots, robotsPrefix *pattern
	for _, rule := range rules {
		p := compile(rule)
		switch {
		case len(p.parts) > 1:
			m.wild = append(m.wild, p)
			continue
		case p.end:
			m.whole[p.text] = p
		default:
			m.prefixes = append(m.prefixes, p)
		}
		if p.text == robotsPath && p.end && (robots == nil || robots.rule.BuiltIn) {
			robots = p
		} else if p.text == robotsPath {
			robotsPrefix = p
		}
	}
	m.robots = robots
	if robotsPrefix != nil && (robots == nil || robots.rule.BuiltIn) {
		m.robots = robotsPrefix
	}
	slices.SortFunc(m.prefixes, func(a, b *pattern) int { return cmp.Compare(a.text, b.text) })
	slices.SortStableFunc(m.wild, func(a, b *pattern) int {
		return cmp.Or(cmp.Compare(b.length, a.length), cmp.Compare(a.rule.State, b.rule.State))
	})
	m.nest()
	return m
}

// nest links every prefix to the longest other one that it begins with.
func (m *matcher) nest() {
	var open []*pattern
	for _, p := range m.prefixes {
		for len(open) > 0 && !strings.HasPrefix(p.text, open[len(open)-1].text) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			p.outer = open[len(open)-1]
		}
		open = append(open, p)
	}
}

func compile(rule Rule) *pattern {
	canonical := CanonicalPattern(rule.Pattern)
	p := &pattern{rule: rule, length: len(canonical)}
	p.text, p.end = strings.CutSuffix(canonical, "$")
	p.parts = strings.Split(p.text, "*")
	for _, part := range p.parts {
		p.pairs.add(part)
	}
	return p
}

// match returns the rule for a path and query as they stand in the request, nil if no pattern matches. It allocates
// only for a path over 1 KiB that is not in canonical form.
func (m *matcher) match(path string) *Rule {
	for i := 0; i < len(path); i++ {
		if m.escapes[path[i]] {
			var room [1024]byte
			canonical := appendCanonical(room[:0], path, false)
			return m.matchCanonical(unsafe.String(unsafe.SliceData(canonical), len(canonical))) // nothing keeps it
		}
	}
	return m.matchCanonical(path)
}

func (m *matcher) matchCanonical(path string) *Rule {
	if path == robotsPath && m.robots != nil {
		return &m.robots.rule
	}
	best := m.whole[path]
	if best == nil {
		best = m.longestPrefix(path)
	}
	if w := m.longestWild(path, best); w != nil {
		best = w
	}
	if best == nil {
		return nil
	}
	return &best.rule
}

// longestPrefix: of the sorted prefixes, the last one not after path shares the most with it; those that path begins
// with are that one or on its chain outwards.
func (m *matcher) longestPrefix(path string) *pattern {
	low, high := 0, len(m.prefixes)
	for low < high {
		if middle := int(uint(low+high) >> 1); m.prefixes[middle].text <= path {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return nil
	}
	p := m.prefixes[low-1]
	shared := 0
	for shared < len(p.text) && shared < len(path) && p.text[shared] == path[shared] {
		shared++
	}
	for p != nil && len(p.text) > shared {
		p = p.outer
	}
	return p
}

// longestWild returns the first wildcard pattern that matches and beats best, nil if there is none.
func (m *matcher) longestWild(path string, best *pattern) *pattern {
	if len(m.wild) == 0 {
		return nil
	}
	var has pairs
	has.add(path)
	for _, p := range m.wild {
		if best != nil && (p.length < best.length || p.length == best.length && p.rule.State >= best.rule.State) {
			return nil
		}
		if p.pairs.within(&has) && p.matches(path) {
			return p
		}
	}
	return nil
}

// matches walks the parts from left to right, each at its first place behind the one before: if any placing of the
// parts matches, this one does.
func (p *pattern) matches(path string) bool {
	rest, ok := strings.CutPrefix(path, p.parts[0])
	if !ok {
		return false
	}
	last := len(p.parts) - 1
	for _, part := range p.parts[1:last] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	if p.end {
		return strings.HasSuffix(rest, p.parts[last])
	}
	return strings.Contains(rest, p.parts[last])
}

// pairs is a 256-bit filter of the neighbouring bytes in a text: a path that lacks a pair of the pattern cannot match
// it.
type pairs [4]uint64

func (p *pairs) add(text string) {
	for i := 1; i < len(text); i++ {
		h := (uint32(text[i-1])*31 + uint32(text[i])*7) & 255
		p[h>>6] |= 1 << (h & 63)
	}
}

func (p *pairs) within(all *pairs) bool {
	return p[0]&^all[0]|p[1]&^all[1]|p[2]&^all[2]|p[3]&^all[3] == 0
}
