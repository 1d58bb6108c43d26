package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFileBytes is the most that a configuration may hold.
const maxFileBytes = 1 << 20

type kind uint8

const (
	text    kind = iota // a string, quoted or plain
	number              // anything YAML takes for a number
	boolean             // true or false
	null                // null or ~
	nothing             // no value after the key or the dash
	mapping
	list
)

// node is a part of the file: what YAML makes of it, and where it stands.
type node struct {
	kind         kind
	line, column int    // of the first character, from 1; of the key where there is no value; 0 when it came from a flag
	text         string // scalars: as written, without quotes
	entries      []entry
	items        []*node
	label        string // the thing in messages: "listen.https"
}

type entry struct{ key, value *node }

// yaml makes a tree of the text: nil without a problem never happens.
func (r *reader) yaml(source []byte) *node {
	if !r.clean(source) {
		return nil
	}
	file := strings.Join(r.lines, "\n")
	tokens := lexer.Tokenize(file)
	r.tokens(tokens)
	if len(r.problems) > 0 {
		return nil
	}
	parsed, err := parseTokens(tokens)
	if err != nil {
		r.syntax(err, tokens)
		return nil
	}
	for _, doc := range parsed.Docs {
		if doc.Body != nil {
			return r.tree(doc.Body, nil)
		}
	}
	r.problemAt(1, 1, leastFile, "the file says nothing")
	return nil
}

// parseTokens turns a panic of the parser into an error: a file that is half written must leave a running gateway
// alone.
func parseTokens(tokens token.Tokens) (file *ast.File, err error) {
	defer func() {
		if recover() != nil {
			file, err = nil, errors.New("this is not YAML")
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// clean splits the text into lines, without byte order mark and with one kind of line end, and looks for what no editor
// writes.
func (r *reader) clean(source []byte) bool {
	switch {
	case len(source) > maxFileBytes:
		r.problems = append(r.problems, tooLarge(r.file))
		return false
	case bytes.HasPrefix(source, []byte("\xff\xfe")) || bytes.HasPrefix(source, []byte("\xfe\xff")):
		r.problemAt(1, 1, "save it as UTF-8", "the file is encoded as UTF-16")
		return false
	}
	s := strings.TrimPrefix(string(source), "\ufeff")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	valid := utf8.ValidString(s)
	r.lines = strings.Split(s, "\n")
	r.widths = make([]int, len(r.lines))
	for i, line := range r.lines {
		r.widths[i] = utf8.RuneCountInString(line)
		if !valid && !utf8.ValidString(line) {
			column := 1
			for rest := line; rest != ""; column++ {
				c, size := utf8.DecodeRuneInString(rest)
				if c == utf8.RuneError && size == 1 {
					break
				}
				rest = rest[size:]
			}
			r.lines[i] = strings.ToValidUTF8(line, "\ufffd")
			r.problemAt(i+1, column, "save the file as UTF-8", "the file is not UTF-8 text")
			return false
		}
		at := strings.IndexFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c >= 0x7f && c < 0xa0 })
		if at >= 0 {
			c, _ := utf8.DecodeRuneInString(line[at:])
			r.problemAt(i+1, utf8.RuneCountInString(line[:at])+1,
				"delete it; if there are many, the file is damaged or is not a text file",
				"the control character %U does not belong here", c)
			return false
		}
	}
	return true
}

// syntax reports what the YAML parser could not read, in words for people who have never seen its source.
func (r *reader) syntax(err error, tokens token.Tokens) {
	line, column, message := 1, 1, err.Error()
	var located yaml.Error
	if errors.As(err, &located) {
		message = located.GetMessage()
		if tk := located.GetToken(); tk != nil && tk.Position != nil {
			line, column = tk.Position.Line, tk.Position.Column
			if open := openBracket(tokens, tk); open != nil {
				line, column = open.Position.Line, open.Position.Column
				message = open.Value
			}
		}
	}
	line, column = r.inside(line, column)
	plain, hint := r.explain(message, line, column)
	if line > 0 && line <= len(r.lines) && strings.Contains(r.lines[line-1], "${") {
		hint = "environment variables are not expanded: " + variablesHint
	}
	r.problemAt(line, column, hint, "%s", plain)
}

// openBracket finds the bracket that is open where the parser gave up.
func openBracket(tokens token.Tokens, at *token.Token) *token.Token {
	var open []*token.Token
	for _, tk := range tokens {
		if tk == at && tk.Type != token.MappingStartType && tk.Type != token.SequenceStartType {
			break
		}
		switch tk.Type {
		case token.InvalidType:
			return nil
		case token.MappingStartType, token.SequenceStartType:
			if open = append(open, tk); tk == at {
				return tk
			}
		case token.MappingEndType, token.SequenceEndType:
			open = open[:max(len(open)-1, 0)]
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[len(open)-1]
}

// inside bounds a position of the parser, which may lie behind the end, to the file.
func (r *reader) inside(line, column int) (int, int) {
	line = min(max(line, 1), len(r.lines))
	return line, min(max(column, 1), r.widths[line-1]+1)
}

// explain says a message of the YAML parser in plain words.
func (r *reader) explain(message string, line, column int) (plain, hint string) {
	has := func(s string) bool { return strings.Contains(message, s) }
	const spaces = "indent with spaces; tabs are not allowed in YAML"
	switch {
	case has("tab") || has("'\t'"):
		return "a tab character where YAML wants spaces", spaces
	case has("end character of double-quoted"):
		return `the text begins with " and never ends`, `put a " at its end`
	case has("end character of single-quoted"):
		return "the text begins with ' and never ends", "put a ' at its end"
	case has("escape character") || has("UTF-16") || has("UTF-32"):
		return `\ inside "…" begins an escape, and this is none that YAML knows`, `write '…' instead of "…", or double the \`
	case has("is a reserved character"):
		return "a value cannot begin with this character", "put the value in quotes"
	case message == "{":
		return "what begins with this { is not as it should be", "between { and } go pairs like key: value, separated by commas"
	case message == "[":
		return "what begins with this [ is not as it should be", "between [ and ] go values, separated by commas"
	case has("corresponding to"):
		return "a closing bracket without its opening one", "delete it, or put the value in quotes"
	case has("invalid key"), has("map-key"), has("unexpected key"), has("undefined map key"):
		return `a ":" without a proper key before it`, "put the value in quotes if the colon belongs to it"
	case has("block sequence entries"):
		return `a "- " cannot stand on the line of its key`, "begin the list on the next line"
	case has("non-map value"), has("value is not allowed in this context"):
		// Tokens of a line that is out of place are reported at their first one.
		words := strings.TrimLeft(r.lines[line-1], " ")
		if key, _, ok := strings.Cut(words, ":"); ok && !strings.HasPrefix(words, "-") && len(key) < len(words)-1 &&
			words[len(key)+1] == ' ' {
			return "this line is not in one column with its neighbours", "lines that belong together begin in the same column, with spaces"
		}
		if strings.HasPrefix(words, "- ") {
			return "a list entry where no list is", "indent it like the other entries of its list"
		}
		if strings.HasPrefix(words, "-") {
			return `a list entry needs a space after its "-"`, "write \"- \" and then the value"
		}
		return `this is not "key: value"`, "a colon and a space stand between a key and its value"
	}
	return fmt.Sprintf("this is not valid YAML (%s)", message), ""
}
