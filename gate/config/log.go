package config

import (
	"fmt"
	"strings"
)

// Log says what the decision log holds and where it goes.
type Log struct {
	File     string // a path, or "-" for standard output
	Scope    string // "all" or "crawlers": only requests that claim to be one
	ClientIP string // "full" or "truncated" to /24 and /48; crawlers are always full
	Query    string // "keep" or "drop": the query strings of requests that claim no crawler
	Rotate   Rotate // the zero value: somebody else renames the file, or nobody; standard output is never rotated
}

// Rotate says when the log's file is set aside.
type Rotate struct {
	Size     int64  // bytes
	Keep     int    // files set aside that are kept
	Compress string // "zstd" or "none"
}

func (r *reader) log(n *node, l *Log) {
	values := map[string]*node{}
	if n != nil {
		values = r.section(n, "log")
	}
	*l = Log{
		File:     key("log", "file").Default,
		Scope:    r.word(values, "log", "scope"),
		ClientIP: r.word(values, "log", "client_ip"),
		Query:    r.word(values, "log", "query"),
	}
	if n := values["file"]; n != nil {
		if s, ok := r.filled(n, `a path, or "-" for standard output`); ok {
			l.File = s
			if strings.HasSuffix(s, "/") {
				r.problem(n, "write the file's name, too", "%s: %s is a folder", n.label, quote(s))
			}
		}
	}
	if rotate := r.rotate(values["rotate"]); l.File != "-" {
		l.Rotate = rotate
	}
}

// rotate reads how the file is rotated; null leaves it to others, a nil node to the defaults.
func (r *reader) rotate(n *node) Rotate {
	standard := r.rotation(nil)
	hint := fmt.Sprintf(
		"write null to leave the file to logrotate (rename, then SIGHUP); leave the key out for %s, %d files, %s",
		spellSize(standard.Size),
		standard.Keep,
		standard.Compress,
	)
	switch {
	case n == nil:
		return standard
	case n.kind == null:
		return Rotate{}
	case n.kind == nothing:
		r.problem(n, hint, "%s: has no value", n.label)
		return standard
	case n.kind != mapping:
		r.wrongType(n, sectionKind, hint)
		return standard
	}
	return r.rotation(r.section(n, "rotate"))
}

// rotation reads the keys of a rotation.
func (r *reader) rotation(values map[string]*node) Rotate {
	return Rotate{
		Size:     r.sizeOf(values, "rotate", "size"),
		Keep:     r.numberOf(values, "rotate", "keep"),
		Compress: r.word(values, "rotate", "compress"),
	}
}
