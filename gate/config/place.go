package config

import "strings"

// place is where a value stands in the file.
type place struct {
	line, column int
	source       string // the line, without passwords
}

// places notes where each text of the tree stands, the first of several that are the same.
func (r *reader) places(n *node, all map[string]place) {
	for _, e := range n.entries {
		r.places(e.value, all)
	}
	for _, item := range n.items {
		r.places(item, all)
	}
	if _, known := all[n.text]; !known && n.kind == text && n.line > 0 {
		p := r.locate(n.line, n.column, "", "")
		all[n.text] = place{p.Line, p.Column, p.Source}
	}
}

// At gives a problem the place of a value in the file, so that whoever looks at this machine can name the line, too.
// The value is a text as the file writes it. A value that is not there, as one from a flag, leaves the problem as it
// is.
func (c *Config) At(value string, p Problem) Problem {
	if at, known := c.places[value]; known && value != "" {
		p.File, p.Line, p.Column, p.Source = c.File, at.line, at.column, at.source
	}
	return p
}

// AtMentioned does the same for the last text of the file that a message mentions, as in `certificate "/etc/ssl/a.pem":
// …` or `open /etc/ssl/a.pem: …`. What a message has behind a semicolon explains, and is not what is wrong; nor are
// mere words.
func (c *Config) AtMentioned(p Problem) Problem {
	at := p
	message, _, _ := strings.Cut(p.Message, "; ")
	mentioned := strings.Split(message, `"`)
	for _, word := range strings.FieldsFunc(message, func(r rune) bool { return r == ' ' || r == '"' }) {
		if strings.Contains(word, "/") {
			mentioned = append(mentioned, word)
		}
	}
	for _, text := range mentioned {
		if found := c.At(strings.TrimSuffix(text, ":"), p); found.Line > 0 {
			at = found
		}
	}
	return at
}
