package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gate421/gate/visible"
)

// Problem is one thing that is wrong, or in Config.Notes one that may be.
type Problem struct {
	File    string // as it was named to Load or Parse; "" when the value came from a flag
	Line    int    // from 1; 0 when the value came from a flag
	Column  int    // from 1, in characters
	Message string // what is wrong, in one line
	Hint    string // what to do about it; "" where nobody can know
	Source  string // the text of the line without passwords, "" when the value came from a flag
}

// String gives the position and message, the line with a caret below the column, and the hint. Whatever the file holds,
// the result holds no control characters but line ends.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	}
	b.WriteString(p.Message)
	if strings.TrimSpace(p.Source) != "" {
		line, caret := excerpt(p.Source, p.Column)
		fmt.Fprintf(&b, "\n    %s\n    %s^", line, strings.Repeat(" ", caret))
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, "\nhint: %s", p.Hint)
	}
	return b.String()
}

// Problems is everything that is wrong with a configuration, sorted by position; never empty.
type Problems []Problem

// Error gives every problem as its String, one below the other.
func (p Problems) Error() string {
	all := make([]string, len(p))
	for i, problem := range p {
		all[i] = problem.String()
	}
	return strings.Join(all, "\n")
}

// maxProblems bounds what a file that is something else altogether can print.
const maxProblems = 100

// Of a line longer than excerptWidth characters, that many are shown, the column's among them.
const (
	excerptWidth  = 100
	excerptBefore = 60
)

// excerpt cuts a line to what surrounds the column, one character for each, and says before how many of them the caret
// stands.
func excerpt(line string, column int) (shown string, caret int) {
	line = strings.TrimRightFunc(line, unicode.IsSpace)
	caret = max(column-1, 0)
	width := utf8.RuneCountInString(line)
	from := 0
	if width > excerptWidth {
		from = min(max(caret-excerptBefore, 0), width-excerptWidth)
	}
	var b strings.Builder
	i := 0
	for _, c := range line {
		switch {
		case i < from:
		case i == from+excerptWidth:
			return mark(b.String()+"…", caret, from)
		case c == '\t':
			b.WriteByte(' ')
		case visible.Hidden(c):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(c)
		}
		i++
	}
	return mark(b.String(), caret, from)
}

// mark says that characters were cut before the excerpt.
func mark(shown string, caret, from int) (string, int) {
	if from == 0 {
		return shown, caret
	}
	return "…" + shown, caret - from + 1
}

// fault is what a check of one value has to say; nil where it is fine. Where the value stands is the caller's to know.
type fault struct{ message, hint string }

func faultf(hint, format string, args ...any) *fault {
	return &fault{fmt.Sprintf(format, args...), hint}
}

// problem adds a problem at a node. The message begins with the thing.
func (r *reader) problem(n *node, hint, format string, args ...any) {
	r.problemAt(n.line, n.column, hint, format, args...)
}

func (r *reader) problemAt(line, column int, hint, format string, args ...any) {
	if len(r.problems) > maxProblems {
		return
	}
	p := r.locate(line, column, hint, format, args...)
	if len(r.problems) == maxProblems {
		p.Message, p.Hint = "more problems follow; mend the ones above first", ""
	}
	r.problems = append(r.problems, p)
}

// note adds a warning at a node.
func (r *reader) note(n *node, hint, format string, args ...any) {
	r.notes = append(r.notes, r.locate(n.line, n.column, hint, format, args...))
}

func (r *reader) locate(line, column int, hint, format string, args ...any) Problem {
	p := Problem{Message: fmt.Sprintf(format, args...), Hint: hint}
	if line > 0 {
		p.File, p.Line, p.Column = r.file, line, column
		if line <= len(r.lines) {
			p.Source = masked(r.lines[line-1])
		}
	}
	return p
}

func (r *reader) sorted() Problems {
	slices.SortStableFunc(r.problems, byPosition)
	return r.problems
}

func byPosition(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// secretKey is a key that no value but a secret goes with. There is none in the contract, but who writes one has a
// secret there.
const secretKey = `(?i)(?:token|secret|passw(?:or)?d|api_?key|hmac_key|credentials?)["']?\s*:\s*`

// masked hides the values of secretKeys, and what an address says before its @, which may be a password: what is shown
// ends up in logs. Half-written addresses count too, so it hides rather too much. The width stays, for the caret's
// sake.
func masked(s string) string {
	const most = 16 // secrets in a line that are told apart
	for at, n := 0, 1; n <= most; n++ {
		secret := secretIn(s[at:])
		if secret == nil {
			break
		}
		from, to := at+secret[2], len(s)
		if n < most {
			to = from + secretEnd(s[from:], strings.ContainsAny(s[:from], "{["))
		}
		stars := strings.Repeat("*", utf8.RuneCountInString(s[from:to]))
		s, at = s[:from]+stars+s[to:], from+len(stars)
	}
	if !strings.Contains(s, "@") {
		return s
	}
	found := regexp.MustCompile(`:/*([^\s/].*)@`).FindStringSubmatchIndex(s)
	if found == nil {
		return s
	}
	from, to := found[2], found[3]
	return s[:from] + strings.Repeat("*", utf8.RuneCountInString(s[from:to])) + s[to:]
}

// secretEnd is how long the value is that a text begins with: to its closing quote, to where it ends in a line of
// several, or all of the text.
func secretEnd(s string, several bool) int {
	if s[0] == '"' || s[0] == '\'' {
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && s[0] == '"':
				i++
			case s[i] == s[0]:
				return i + 1
			}
		}
		return len(s)
	}
	if end := strings.IndexAny(s, ",}]"); end > 0 && several {
		return end
	}
	return len(s)
}

// secretIn finds a secretKey and its value. Most lines, and they may be long, are looked at no closer than for its
// words.
func secretIn(s string) []int {
	lower := strings.ToLower(s)
	for _, word := range []string{"token", "secret", "passw", "api", "hmac_key", "credential"} {
		if strings.Contains(lower, word) {
			return regexp.MustCompile(secretKey + `(.+)$`).FindStringSubmatchIndex(s)
		}
	}
	return nil
}

// quote quotes what a file says, without what masked hides, and cuts what is too long to show.
func quote(s string) string {
	const most = 80
	s = masked(s)
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
