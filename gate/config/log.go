package config

import "strings"

// Log says what the decision log holds and where it goes.
type Log struct {
	File     string // a path, or "-" (default) for standard output
	Scope    string // "all" (default) or "crawlers": only requests that claim to be one
	ClientIP string // "full" (default) or "truncated" to /24 and /48; crawlers are always full
	Query    string // "keep" (default) or "drop": the query strings of requests that claim no crawler
	Rotate   Rotate // the zero value: somebody else renames the file, or nobody; standard output is never rotated
}

// Rotate says when the log's file is set aside.
type Rotate struct {
	Size     int64  // bytes; default 256 MiB; 1 MiB to 1 TiB
	Keep     int    // files set aside that are kept; default 14; 1 to 10,000
	Compress string // "zstd" (default) or "none"
}

func (r *reader) log(n *node, l *Log) {
	*l = Log{File: "-", Scope: "all", ClientIP: "full", Query: "keep"}
	values := map[string]*node{}
	if n != nil {
		values = r.section(n, "log")
	}
	if n := values["file"]; n != nil {
		if s, ok := r.filled(n, `a path, or "-" for standard output`); ok {
			l.File = s
			if strings.HasSuffix(s, "/") {
				r.problem(n, "write the file's name, too", "%s: %s is a folder", n.label, quote(s))
			}
		}
	}
	if n := values["scope"]; n != nil {
		l.Scope, _ = r.choice(n, "all", "crawlers")
	}
	if n := values["client_ip"]; n != nil {
		l.ClientIP, _ = r.choice(n, "full", "truncated")
	}
	if n := values["query"]; n != nil {
		l.Query, _ = r.choice(n, "keep", "drop")
	}
	if rotate := r.rotate(values["rotate"]); l.File != "-" {
		l.Rotate = rotate
	}
}

// rotate reads how the file is rotated; null leaves it to others, a nil node to the defaults.
func (r *reader) rotate(n *node) Rotate {
	rotate := Rotate{Size: 256 << 20, Keep: 14, Compress: "zstd"}
	const cure = "write null to leave the file to logrotate (rename, then SIGHUP); leave the key out for 256MiB, 14 files, zstd"
	switch {
	case n == nil:
		return rotate
	case n.kind == null:
		return Rotate{}
	case n.kind != mapping && n.kind != nothing:
		r.wrongType(n, sectionKind, cure)
		return rotate
	case n.kind == nothing:
		r.problem(n, cure, "%s: has no value", n.label)
		return rotate
	}
	values := r.section(n, "rotate")
	if size := values["size"]; size != nil {
		if v, ok := r.size(size, 1<<20, 1<<40); ok {
			rotate.Size = v
		}
	}
	if keep := values["keep"]; keep != nil {
		if v, ok := r.integer(keep, 1, 10_000); ok {
			rotate.Keep = int(v)
		}
	}
	if compress := values["compress"]; compress != nil {
		rotate.Compress, _ = r.choice(compress, "zstd", "none")
	}
	return rotate
}
