package config

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// The parser's time and stack grow faster than the file where one of these does, and no configuration needs more.
const (
	maxDepth = 20     // brackets within brackets, or dashes on one line
	maxKeys  = 10_000 // keys of one mapping
)

// tooDeep is reported at the line that the lexer has taken for the rest of a value.
const tooDeep = "this line begins further right than the key above it, which has its value already"

// tokens refuses the parts of YAML that a configuration has no use for, and what the parser would misread or choke on.
func (r *reader) tokens(tokens token.Tokens) {
	var s shape
	for i, tk := range tokens {
		if len(r.problems) > maxProblems || tk.Type == token.InvalidType ||
			len(r.problems) > 0 && tk.Type == token.DocumentHeaderType {
			return
		}
		hint, message := s.next(tk)
		if message == "" {
			hint, message = unwanted(tokens, i)
		}
		if message == "" {
			continue
		}
		line, column := r.inside(r.start(tk))
		if message == tooDeep {
			line, _ = r.inside(tk.Next.Position.Line, 1)
			column = len(r.lines[line-1]) - len(strings.TrimLeft(r.lines[line-1], " ")) + 1
		}
		r.problemAt(line, column, hint, "%s", message)
		if hint == "" {
			return
		}
	}
}

// shape follows brackets, lines and columns to see what the parser takes too long for.
type shape struct {
	depth  int         // of brackets
	line   int         // of the last token
	dashes int         // on this line
	colons int         // on this line, outside brackets
	keys   map[int]int // by column: keys of the mapping that is open there
}

// next takes a token; a message without a hint is one after which to read no further.
func (s *shape) next(tk *token.Token) (hint, message string) {
	if tk.Type == token.CommentType {
		return "", ""
	}
	if tk.Position.Line != s.line {
		s.line, s.dashes, s.colons = tk.Position.Line, 0, 0
	}
	switch tk.Type {
	case token.MappingStartType, token.SequenceStartType:
		s.depth++
	case token.MappingEndType, token.SequenceEndType:
		s.depth--
	case token.SequenceEntryType:
		s.dashes++
	case token.MappingValueType:
		if s.depth > 0 {
			break
		}
		if s.colons++; s.colons > 1 {
			return "put the value in quotes if the colon belongs to it", `a second ": " on one line`
		}
	}
	if s.depth > maxDepth || s.dashes > maxDepth {
		return "", "lists within lists, more than 20 deep"
	}
	if s.depth > 0 {
		return "", ""
	}
	if s.keys == nil {
		s.keys = map[int]int{}
	}
	column := tk.Position.Column
	for c := range s.keys {
		if c > column && tk.Type != token.MappingValueType {
			delete(s.keys, c)
		}
	}
	if tk.Next != nil && tk.Next.Type == token.MappingValueType {
		if s.keys[column]++; s.keys[column] > maxKeys {
			return "", "more than 10,000 keys in one mapping"
		}
	}
	return "", ""
}

// unwanted looks for the parts of YAML that are refused by name.
func unwanted(tokens token.Tokens, i int) (hint, message string) {
	tk := tokens[i]
	const once = "write the value out where it is meant"
	switch tk.Type {
	case token.AnchorType:
		return `write the value out in each place; if the "&" belongs to the value, put it in quotes`, "anchors (&name) are not supported"
	case token.AliasType:
		if tk.Next != nil && strings.HasPrefix(tk.Next.Value, ".") {
			name, key := strings.CutSuffix(tk.Next.Value, ":")
			if after := tk.Next.Next; key || after != nil && after.Type == token.MappingValueType {
				return "a path pattern begins with a slash: write /*" + name, `a key that begins with "*" needs quotes`
			}
			return `write "*` + name + `" with the quotes`, `a value that begins with "*" needs quotes`
		}
		return `write the value out in each place; if the "*" belongs to the value, put it in quotes`, "aliases (*name) are not supported"
	case token.MergeKeyType:
		return once, "merge keys (<<) are not supported"
	case token.TagType:
		return `leave it out; if the "!" belongs to the value, put it in quotes`, "tags (!name) are not supported"
	case token.DirectiveType:
		return "leave the line out", "directives (%) are not supported"
	case token.MappingKeyType:
		return `write "key: value"`, `keys that begin with "? " are not supported`
	case token.LiteralType, token.FoldedType:
		return "write the value on the line of its key", "texts of several lines (| and >) are not supported"
	case token.DocumentHeaderType:
		for _, before := range tokens[:i] {
			if before.Type != token.CommentType {
				return "one file is one configuration: delete the line", `a second document begins at "---"`
			}
		}
	case token.DocumentEndType:
		return "delete the line", `the document cannot be ended by "..."`
	case token.StringType, token.SingleQuoteType, token.DoubleQuoteType:
		if i > 0 && (tokens[i-1].Type == token.LiteralType || tokens[i-1].Type == token.FoldedType) {
			return "", ""
		}
		if tk.Type == token.StringType && strings.HasPrefix(tk.Value, "-") && tk.Next != nil &&
			tk.Next.Type == token.MappingValueType {
			return `write "- " and then the key`, `a list entry needs a space after its "-"`
		}
		if !strings.Contains(strings.TrimSpace(tk.Origin), "\n") {
			return "", ""
		}
		if tk.Next != nil && tk.Next.Type == token.MappingValueType {
			if tk.Prev != nil && tk.Prev.Type == token.MappingValueType {
				return "keys that belong together begin in the same column", tooDeep
			}
			return "a colon and a space stand between a key and its value", `this line is not "key: value"`
		}
		if tk.Type == token.StringType {
			return "keep a value on one line; if the next line is a key of its own, it is indented too far", "the value goes on in the next line"
		}
		return "keep a value on one line; is a quote missing at its end?", "the text in quotes goes on in the next line"
	}
	return "", ""
}

// start is where a token begins. The lexer places plain text of several lines at its end.
func (r *reader) start(tk *token.Token) (line, column int) {
	line, column = tk.Position.Line, tk.Position.Column
	if tk.Type != token.StringType || !strings.Contains(strings.TrimSpace(tk.Origin), "\n") {
		return line, column
	}
	before := tk.Prev
	if before == nil || before.Position.Line >= line && tk.Next != nil && tk.Next.Type != token.MappingValueType {
		return line, column
	}
	line, column = r.inside(before.Position.Line, before.Position.Column+len([]rune(before.Value)))
	for ; line <= len(r.lines); line, column = line+1, 1 {
		rest := []rune(r.lines[line-1])[column-1:]
		words := strings.TrimLeft(string(rest), " \t")
		if words != "" && words[0] != '#' {
			return line, column + len(rest) - len([]rune(words))
		}
	}
	return tk.Position.Line, tk.Position.Column
}

// tree copies what the parser made into nodes. key is where a missing value is reported.
func (r *reader) tree(from ast.Node, key *node) *node {
	n := &node{}
	if tk := from.GetToken(); tk != nil && tk.Position != nil {
		n.line, n.column = r.inside(tk.Position.Line, tk.Position.Column)
		n.text = tk.Value
	}
	switch from := from.(type) {
	case *ast.MappingNode:
		n.kind = mapping
		for _, value := range from.Values {
			k := r.tree(value.Key, nil)
			n.entries = append(n.entries, entry{k, r.tree(value.Value, k)})
		}
		if !from.IsFlowStyle && len(n.entries) > 0 {
			n.line, n.column = n.entries[0].key.line, n.entries[0].key.column
		}
	case *ast.SequenceNode:
		n.kind = list
		for i, value := range from.Values {
			at := n
			if i < len(from.Entries) && from.Entries[i].Start != nil {
				at = &node{}
				at.line, at.column = r.inside(from.Entries[i].Start.Position.Line, from.Entries[i].Start.Position.Column)
			}
			n.items = append(n.items, r.tree(value, at))
		}
	case *ast.BoolNode:
		n.kind = boolean
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.kind = number
	case *ast.NullNode:
		n.kind = null
		if from.GetToken().Type == token.ImplicitNullType || from.GetToken().Value != "~" && !strings.EqualFold(from.GetToken().Value, "null") {
			n.kind = nothing
		}
		if n.kind == nothing && key != nil {
			n.line, n.column = key.line, key.column
		}
	}
	return n
}
