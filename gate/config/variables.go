package config

import (
	"regexp"
	"slices"
	"strings"
)

const variablesHint = "write the value itself, or let a program such as envsubst write the file; secrets stand in files of their own"

// unexpanded rejects what looks like a variable: nothing in the file is expanded, and a value that was meant to be
// something else is the worst of mistakes. What else is wrong with such a value goes without saying.
func (r *reader) unexpanded(n *node) {
	for _, e := range n.entries {
		r.variable(e.key, e.value.label)
		r.unexpanded(e.value)
	}
	for _, item := range n.items {
		r.unexpanded(item)
	}
	if n.kind == text {
		r.variable(n, n.label)
	}
}

func (r *reader) variable(n *node, label string) {
	if !strings.ContainsAny(n.text, "${%") {
		return
	}
	name := regexp.MustCompile(`\$\{[^}]*\}?|\$\([^)]*\)?|\{\{[^}]*\}?\}?|^\$[A-Za-z_][A-Za-z0-9_]*$|^%[A-Za-z_]+%$`).
		FindString(n.text)
	if name == "" || n.line == 0 {
		return
	}
	r.problems = slices.DeleteFunc(r.problems, func(p Problem) bool { return p.Line == n.line && p.Column == n.column })
	if label == "" {
		label = "the file"
	}
	r.problem(n, variablesHint,
		"%s: %s is no value: environment variables are not expanded", label, quote(name))
}
