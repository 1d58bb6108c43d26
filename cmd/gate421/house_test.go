package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is what a package may import of ours, and what it hides: nobody else imports that.
type room struct {
	ours  []string
	hides []string
}

// house is the architecture: gate knows no sockets, front knows no rules, and policy knows neither.
func house() map[string]room {
	return map[string]room{
		"verify": {[]string{"gate/files"}, []string{"github.com/maypok86/otter"}},
		"certs": {[]string{"certs/localca", "certs/pemfile", "certs/redis"},
			[]string{"github.com/libdns", "github.com/mholt/acmez", "go.uber.org/zap"}},
		"certs/localca":        {[]string{"certs/pemfile", "gate/files"}, nil},
		"certs/pemfile":        {nil, nil},
		"certs/redis":          {[]string{"certs/pemfile"}, []string{"github.com/gomodule/redigo"}},
		"gate/policy":          {[]string{"verify"}, nil},
		"gate/guard":           {[]string{"gate/files"}, nil},
		"gate/audit":           {[]string{"gate/files"}, nil},
		"gate/files":           {nil, nil},
		"gate/report/logs":     {nil, nil},
		"gate/report/analysis": {[]string{"gate/report/logs"}, nil},
		"gate/report/render":   {[]string{"gate/report/analysis", "gate/report/logs", "gate/visible"}, nil},
		"gate/http1/client":    {[]string{"gate/forwarding", "gate/http1", "gate/socket"}, nil},
		"gate/origin": {[]string{"gate/files", "gate/forwarding", "gate/socket", "gate/http1", "gate/http1/client"},
			[]string{"net/http/httputil"}},
		"gate/config":       {[]string{"gate/files", "gate/policy", "gate/visible"}, []string{"github.com/goccy/go-yaml"}},
		"gate":              {[]string{"gate/policy", "gate/audit", "gate/forwarding", "gate/http1", "verify"}, nil},
		"gate/front":        {[]string{"gate/http1/server", "gate/socket"}, []string{"github.com/pires/go-proxyproto"}},
		"gate/http1/server": {[]string{"gate/http1"}, nil},
		"gate/forwarding":   {[]string{"gate/http1"}, nil},
		"gate/http1":        {nil, nil},
		"gate/socket":       {nil, nil},
		"gate/visible":      {nil, nil},
		"gate/admin": {[]string{"gate/policy", "gate/guard", "gate/audit", "gate/visible"},
			[]string{"github.com/prometheus/client_golang"}},
		"gate/hint": {[]string{"gate/config"}, nil},
		"gate/server": {[]string{"certs", "gate", "gate/admin", "gate/audit", "gate/config", "gate/files", "gate/front",
			"gate/guard", "gate/hint",
			"gate/origin", "gate/policy", "gate/visible", "verify"},
			[]string{"github.com/fsnotify/fsnotify", "github.com/coreos/go-systemd"}},
		"gate/check": {[]string{"certs", "gate/config", "gate/files", "gate/hint", "gate/origin", "gate/server", "verify"},
			nil},
		"cmd/gate421": {[]string{"certs", "cmd/gate421/demo", "cmd/gate421/terminal", "gate", "gate/check", "gate/config",
			"gate/files", "gate/guard", "gate/hint",
			"gate/policy", "gate/report/analysis", "gate/report/logs", "gate/report/render", "gate/server", "gate/http1",
			"gate/visible", "verify"}, []string{"github.com/alecthomas/kong"}},
		"cmd/gate421/demo": {[]string{"cmd/gate421/terminal", "gate/audit", "gate/config", "gate/hint", "gate/server",
			"verify"}, nil},
		"cmd/gate421/terminal": {nil, []string{"golang.org/x/term"}},
		"deploy/peers":         {nil, nil},

		// Of tests alone: no other room may import them.
		"certs/storagetest":         {nil, nil},
		"verify/verifytest":         {nil, nil},
		"gate/server/servertest":    {[]string{"verify", "verify/verifytest"}, nil},
		"gate/report/logs/logstest": {[]string{"gate/audit"}, nil},

		// A module of its own: its tests need a library that the product does not.
		"deploy/peers/grpc": {nil, nil},
	}
}

// shared are libraries with several users: verify asks the DNS with miekg/dns, its test server answers; audit writes
// lines with zerolog, certs has certmagic log through it; certs/redis is a storage for certmagic, and certs/storagetest
// tests one; audit compresses what it has set aside, gate/report/logs reads it again.
func shared() map[string][]string {
	return map[string][]string{
		"github.com/rs/zerolog":            {"gate/audit", "certs"},
		"github.com/klauspost/compress":    {"gate/audit", "gate/report/logs"},
		"github.com/miekg/dns":             {"verify", "verify/verifytest"},
		"github.com/caddyserver/certmagic": {"certs", "certs/redis", "certs/storagetest"},
	}
}

// The engine of HTTP/2 has two users: front serves with it, origin asks with it.
func engineUsers() []string { return []string{"gate/front", "gate/origin"} }

type source struct {
	path, dir string // from the top of the house
	file      *ast.File
	lines     int
}

func sources(t *testing.T) []source {
	t.Helper()
	top := filepath.Join("..", "..")
	var out []source
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != top && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		path, err = filepath.Rel(top, path)
		path = filepath.ToSlash(path)
		out = append(out, source{path, filepath.ToSlash(filepath.Dir(path)), file, strings.Count(string(text), "\n")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 30 {
		t.Fatalf("only %d Go files found: the test looks in the wrong place", len(out))
	}
	return out
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.go") }

func TestImportsFollowTheHouse(t *testing.T) {
	rooms := house()
	seen, used := map[string]bool{}, map[[2]string]bool{}
	for _, s := range sources(t) {
		r, known := rooms[s.dir]
		if !known {
			t.Errorf("%s: package %q is not a room of the house", s.path, s.dir)
			continue
		}
		seen[s.dir] = true
		for _, spec := range s.file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if !isTest(s.path) {
				used[[2]string{s.dir, path}] = true
			}
			if ours, ok := strings.CutPrefix(path, "gate421/"); ok && !isTest(s.path) && !slices.Contains(r.ours, ours) {
				t.Errorf("%s: imports %s, which %s may not", s.path, path, s.dir)
			}
			for dir, other := range rooms {
				for _, hidden := range other.hides {
					if dir != s.dir && (path == hidden || strings.HasPrefix(path, hidden+"/")) && !isTest(s.path) {
						t.Errorf("%s: imports %s, which only %s may", s.path, path, dir)
					}
				}
			}
			for library, users := range shared() {
				if strings.HasPrefix(path, library) && !isTest(s.path) && !slices.Contains(users, s.dir) {
					t.Errorf("%s: imports %s, which only %v may", s.path, path, users)
				}
			}
			if strings.HasPrefix(path, "golang.org/x/net/http2") && !isTest(s.path) && !slices.Contains(engineUsers(), s.dir) {
				t.Errorf("%s: imports %s, which only %v may", s.path, path, engineUsers())
			}
			if s.dir == "gate/policy" && !isTest(s.path) && slices.Contains([]string{"net/http", "net", "os", "io", "time",
				"context"}, path) {
				t.Errorf("%s: imports %s, but policy is pure", s.path, path)
			}
		}
	}
	for dir := range rooms {
		if !seen[dir] {
			t.Errorf("the room %s is missing", dir)
		}
	}
	checkPermissions(t, used)
}

// checkPermissions wants every permission of the tables to be used: used has the imports of each room but for its
// tests.
func checkPermissions(t *testing.T, used map[[2]string]bool) {
	t.Helper()
	uses := func(dir, library string) bool {
		for u := range used {
			if u[0] == dir && (u[1] == library || strings.HasPrefix(u[1], library+"/")) {
				return true
			}
		}
		return false
	}
	for dir, r := range house() {
		for _, ours := range r.ours {
			if !used[[2]string{dir, "gate421/" + ours}] {
				t.Errorf("%s may import %s, and does not", dir, ours)
			}
		}
		for _, library := range r.hides {
			if !uses(dir, library) {
				t.Errorf("%s hides %s, and does not import it", dir, library)
			}
		}
	}
	for library, users := range shared() {
		for _, dir := range users {
			if !uses(dir, library) {
				t.Errorf("%s may import %s, and does not", dir, library)
			}
		}
	}
	for _, dir := range engineUsers() {
		if !uses(dir, "golang.org/x/net/http2") {
			t.Errorf("%s may import the engine of HTTP/2, and does not", dir)
		}
	}
}

func TestRoomsAreTidy(t *testing.T) {
	comments := map[string][]string{}
	for _, s := range sources(t) {
		if s.lines > 400 && !isTest(s.path) {
			t.Errorf("%s has %d lines: a file of more than 400 has more than one subject", s.path, s.lines)
		}
		if s.file.Doc != nil && !isTest(s.path) && !strings.HasPrefix(s.file.Doc.Text(), "go:build") {
			comments[s.dir] = append(comments[s.dir], s.path)
		}
		for _, word := range []string{"util", "helper", "common", "impl", "manager", "service"} {
			if strings.Contains(strings.ToLower(filepath.Base(s.path)), word) {
				t.Errorf("%s: a file is named after its subject, not %q", s.path, word)
			}
		}
		if !isTest(s.path) {
			checkState(t, s)
		}
	}
	for dir, files := range comments {
		if len(files) != 1 {
			t.Errorf("%s has package comments in %v; one belongs in the file named after the package", dir, files)
		}
	}
	for dir := range house() {
		if len(comments[dir]) == 0 && !strings.HasPrefix(dir, "deploy/peers") {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// TestNamesOfReceivers wants one name for all receivers of a type.
func TestNamesOfReceivers(t *testing.T) {
	names := map[string]string{}
	for _, s := range sources(t) {
		if isTest(s.path) {
			continue
		}
		for _, declaration := range s.file.Decls {
			method, ok := declaration.(*ast.FuncDecl)
			if !ok || method.Recv == nil || len(method.Recv.List[0].Names) == 0 {
				continue
			}
			kind := method.Recv.List[0].Type
			if pointer, ok := kind.(*ast.StarExpr); ok {
				kind = pointer.X
			}
			of, ok := kind.(*ast.Ident)
			name := method.Recv.List[0].Names[0].Name
			if !ok || name == "_" {
				continue
			}
			key := s.dir + "." + of.Name
			if other := names[key]; other != "" && other != name {
				t.Errorf("%s: the receiver of %s.%s is called %s, and elsewhere %s", s.path, key, method.Name.Name, name, other)
			}
			names[key] = name
		}
	}
}

// checkState looks for init functions and package-level variables. Embedded files and errors that callers compare with
// are constants in all but name.
func checkState(t *testing.T, s source) {
	for _, declaration := range s.file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == "init" && d.Recv == nil {
				t.Errorf("%s: has an init function", s.path)
			}
		case *ast.GenDecl:
			if d.Tok != token.VAR || d.Doc != nil && strings.Contains(commentText(d.Doc), "go:embed") {
				continue
			}
			for _, spec := range d.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if !strings.HasPrefix(name.Name, "Err") && !strings.HasPrefix(name.Name, "err") && name.Name != "_" {
						t.Errorf("%s: package-level variable %s", s.path, name.Name)
					}
				}
			}
		}
	}
}

func commentText(group *ast.CommentGroup) string {
	var text strings.Builder
	for _, c := range group.List {
		text.WriteString(c.Text)
	}
	return text.String()
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile(filepath.Join("..", "..", ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{"README.md", "certs", "cmd", "deploy", "gate", "go.mod", "go.sum", "verify"}
	var got []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(strings.Fields(string(ignored)),
			"/"+strings.TrimSuffix(e.Name(), "/")) {
			got = append(got, e.Name())
		}
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("the top level holds %v, want %v", got, wanted)
	}
}
