package policy

import (
	"strings"
	"testing"
)

// matches says whether one pattern, alone on a site that allows, refuses the path.
func matches(t testing.TB, pattern, path string) bool {
	t.Helper()
	p, err := New(
		[]Spec{{Hosts: []string{"example.com"}, State: Allow, Paths: []Rule{{Pattern: pattern, State: Refuse}}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return p.Site("example.com").Rule(path).State == Refuse
}

// Every example of RFC 9309 sections 2.2.2, 2.2.3 and 5, and of Google's page "How Google interprets the robots.txt
// specification".
func TestPatternExamples(t *testing.T) {
	for _, test := range []struct {
		pattern string
		accept  []string
		reject  []string
	}{
		// RFC 9309, 2.2.2: percent-encoding.
		{"/foo/bar?baz=quz", []string{"/foo/bar?baz=quz", "/foo/bar?baz=quz&more"}, []string{"/foo/bar", "/foo/bar%3Fbaz=quz"}},
		{"/foo/bar?baz=https://foo.bar", []string{"/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https%3a%2f%2ffoo.bar"}, []string{"/foo/bar?baz=https:foo.bar"}},
		{"/foo/bar?baz=https%3A%2F%2Ffoo.bar", []string{"/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar"}, nil},
		{"/foo/bar/ツ", []string{"/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", "/foo/bar/ツ"}, []string{"/foo/bar/%E3%83%83"}},
		{"/foo/bar/%E3%83%84", []string{"/foo/bar/%E3%83%84", "/foo/bar/ツ"}, []string{"/foo/bar/"}},
		{"/foo/bar/%62%61%7A", []string{"/foo/bar/baz", "/foo/bar/%62%61%7A", "/foo/bar/%62az"}, []string{"/foo/bar/ba"}},
		{"/foo/bar/baz", []string{"/foo/bar/%62%61%7a"}, []string{"/foo/bar%2Fbaz"}},
		// RFC 9309, 2.2.3: special characters.
		{"/foo/*/bar", []string{"/foo/x/bar", "/foo/x/y/bar/z", "/foo//bar"}, []string{"/foo/bar"}},
		{"/this/path/exactly$", []string{"/this/path/exactly"}, []string{"/this/path/exactly/", "/this/path/exactly?x", "/this/path/exactlyno"}},
		{"/this/path/*$", []string{"/this/path/", "/this/path/x/y"}, []string{"/this/path"}},
		{"/path/file-with-a-%2A.html", []string{"/path/file-with-a-*.html", "/path/file-with-a-%2a.html"}, []string{"/path/file-with-a-x.html"}},
		{"/path/foo-%24", []string{"/path/foo-$", "/path/foo-%24", "/path/foo-$/more"}, []string{"/path/foo-"}},
		{"/path/foo-%24$", []string{"/path/foo-$", "/path/foo-%24"}, []string{"/path/foo-$/more"}},
		// RFC 9309, 5.1 and 5.2.
		{"/*.gif$", []string{"/a.gif", "/a/b.gif"}, []string{"/a.gif?x", "/a.gifx", "/gif"}},
		{"/example/", []string{"/example/", "/example/page.html"}, []string{"/example", "/Example/"}},
		{"/example/page.html", []string{"/example/page.html", "/example/page.html?q"}, []string{"/example/page.htm"}},
		// Google, "URL matching based on path values".
		{"/", []string{"/", "/anything", "/?q"}, nil},
		{"/*", []string{"/", "/anything"}, nil},
		{"/$", []string{"/"}, []string{"/page", "/?q"}},
		{"/fish", []string{"/fish", "/fish.html", "/fish/salmon.html", "/fishheads", "/fishheads/yummy.html", "/fish.php?id=anything"}, []string{"/Fish.asp", "/catfish", "/?id=fish", "/desert/fish"}},
		{"/fish*", []string{"/fish", "/fish.html", "/fish/salmon.html", "/fishheads", "/fishheads/yummy.html", "/fish.php?id=anything"}, []string{"/Fish.asp", "/catfish", "/?id=fish", "/desert/fish"}},
		{"/fish/", []string{"/fish/", "/fish/?id=anything", "/fish/salmon.htm"}, []string{"/fish", "/fish.html", "/animals/fish/", "/Fish/Salmon.asp"}},
		{"/*.php", []string{"/index.php", "/filename.php", "/folder/filename.php", "/folder/filename.php?parameters", "/folder/any.php.file.html", "/filename.php/"}, []string{"/", "/windows.PHP"}},
		{"/*.php$", []string{"/filename.php", "/folder/filename.php"}, []string{"/filename.php?parameters", "/filename.php/", "/filename.php5", "/windows.PHP"}},
		{"/fish*.php", []string{"/fish.php", "/fishheads/catfish.php?parameters"}, []string{"/Fish.PHP"}},
		// What these leave open.
		{"/a$b", []string{"/a$b", "/a%24b/c"}, []string{"/a", "/ab"}},
		{"/a*b*c$", []string{"/abc", "/axbxc", "/abcbc", "/abbcc"}, []string{"/abcd", "/acb"}},
		{"/*a*a*a$", []string{"/aaa", "/xaxaxa", "/aaaa"}, []string{"/aa", "/aaab"}},
		{"/x~y", []string{"/x~y", "/x%7Ey", "/x%7ey"}, nil},
		{"/a%2Fb", []string{"/a%2fb"}, []string{"/a/b"}},
		{"/a/b", nil, []string{"/a%2Fb"}},
		{"/a%20b", []string{"/a%20b"}, []string{"/a+b", "/a%2520b"}},
		{"/a?x=1", []string{"/a?x=1&y"}, []string{"/a?y&x=1"}},
		{"/%7Bid%7D", []string{"/{id}", "/%7bid%7d"}, nil},
		{"/q?u=%26", []string{"/q?u=%26"}, []string{"/q?u=&"}},
	} {
		for _, path := range test.accept {
			if !matches(t, test.pattern, path) {
				t.Errorf("%q does not match %q, but should", test.pattern, path)
			}
		}
		for _, path := range test.reject {
			if matches(t, test.pattern, path) {
				t.Errorf("%q matches %q, but should not", test.pattern, path)
			}
		}
	}
}

// Which of two rules wins: the rows of Google's "Order of precedence for rules" and of RFC 9309 section 5.2. State
// allow is robots.txt's allow, refuse its disallow.
func TestLongestWins(t *testing.T) {
	for _, test := range []struct {
		allow, refuse, path string
		want                State
	}{
		{"/p", "/", "/page", Allow},
		{"/folder", "/folder/", "/folder/page", Refuse},
		{"/page", "/*.htm", "/page.htm", Refuse},
		{"/page", "/*.ph", "/page.php5", Allow}, // as long: the less restrictive
		{"/$", "/", "/", Allow},
		{"/$", "/", "/page.htm", Refuse},
		{"/example/page/disallowed.gif", "/example/page/", "/example/page/disallowed.gif", Allow},
		{"/example/page/", "/example/page/disallowed.gif", "/example/page/disallowed.gif", Refuse},
		{"/a*", "/a", "/ab", 255},              // the same pattern twice is an error
		{"/%61", "/a", "/a", 255},              // so is another spelling of it
		{"/*/x$", "/a/x", "/a/x", Allow},       // 5 bytes against 4
		{"/a/x", "/a/x$", "/a/x", Refuse},      // "$" counts
		{"/ab", "/*b$", "/ab", Refuse},         // 3 against 4
		{"/%E3%83%84", "/ツ/a", "/ツ/a", Refuse}, // counted in canonical bytes
	} {
		p, err := New(
			[]Spec{
				{
					Hosts: []string{"h"},
					State: Observe,
					Paths: []Rule{{Pattern: test.allow, State: Allow}, {Pattern: test.refuse, State: Refuse}},
				},
			},
		)
		if test.want == 255 {
			if err == nil || !strings.Contains(err.Error(), "says the same as") {
				t.Errorf("%q and %q: %v, want an error that they say the same", test.allow, test.refuse, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Site("h").Rule(test.path).State; got != test.want {
			t.Errorf("allow %q, refuse %q: %q is %v, want %v", test.allow, test.refuse, test.path, got, test.want)
		}
	}
}

func TestBuiltInRules(t *testing.T) {
	for _, test := range []struct {
		paths []Rule
		path  string
		want  Rule
	}{
		{nil, "/robots.txt", Rule{"/robots.txt$", Allow, true}},
		{nil, "/robots%2Etxt", Rule{"/robots.txt$", Allow, true}},
		{nil, "/robots.txt.bak", Rule{SiteRule, Refuse, false}},
		{nil, "/.well-known/acme-challenge/token", Rule{"/.well-known/acme-challenge/", Allow, true}},
		{[]Rule{{Pattern: "/", State: Refuse}}, "/robots.txt", Rule{"/robots.txt$", Allow, true}},
		{[]Rule{{Pattern: "/*o*b*o*t*s*.*t*x*t$", State: Refuse}}, "/robots.txt", Rule{"/robots.txt$", Allow, true}},
		{[]Rule{{Pattern: "/robots", State: Refuse}}, "/robots.txt", Rule{"/robots.txt$", Allow, true}},
		{[]Rule{{Pattern: "/robots.txt", State: Refuse}}, "/robots.txt", Rule{"/robots.txt", Refuse, false}},
		{[]Rule{{Pattern: "/robots.txt$", State: Refuse}}, "/robots.txt", Rule{"/robots.txt$", Refuse, false}},
		{[]Rule{{Pattern: "/robots.txt", State: Observe}, {Pattern: "/robots.txt$", State: Refuse}}, "/robots.txt", Rule{"/robots.txt$", Refuse, false}},
	} {
		p, err := New([]Spec{{Hosts: []string{"h"}, State: Refuse, Paths: test.paths}})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Site("h").Rule(test.path); got != test.want {
			t.Errorf("%v: %q: %+v, want %+v", test.paths, test.path, got, test.want)
		}
	}
}

func TestCheckPattern(t *testing.T) {
	for _, good := range []string{"/", "/a*b", "/*$", "/a$b", "/%e3", "/ツ", "/?", "/*.pdf$"} {
		if err := CheckPattern(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"":                                    "is empty",
		"a":                                   `must begin with "/"`,
		"*.pdf":                               `must begin with "/": write "/*.pdf"`,
		"/a**":                                "two wildcards in a row",
		"/a b":                                "has a space",
		"/a\x00":                              "control character",
		"/50%":                                "two hexadecimal digits",
		"/%zz":                                "two hexadecimal digits",
		"/" + strings.Repeat("a", maxPattern): "at most",
	} {
		if err := CheckPattern(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", bad, err, want)
		}
	}
}

func TestSites(t *testing.T) {
	p, err := New([]Spec{
		{Hosts: []string{"example.com", "www.example.com"}, State: Refuse},
		{Hosts: []string{"*.example.com"}, State: Observe},
	})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"example.com": "example.com", "www.example.com": "example.com", "shop.example.com": "*.example.com",
		"a.b.example.com": "", "example.org": "", "": "", ".example.com": "", "com": "", "*.example.com": "*.example.com",
	} {
		name := ""
		if s := p.Site(host); s != nil {
			name = s.Name
		}
		if name != want {
			t.Errorf("%q is site %q, want %q", host, name, want)
		}
	}
	if (*Policy)(nil).Site("example.com") != nil {
		t.Error("a nil policy knows a site")
	}
	_, err = New(
		[]Spec{
			{Hosts: []string{"a"}},
			{Hosts: []string{"b", "a"}},
			{},
			{Hosts: []string{"c"}, Paths: []Rule{{Pattern: "x"}}},
		},
	)
	for _, want := range []string{`site "b": host "a": already a host of site "a"`, "site 3: no hosts", `path "x": must begin`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

// slowMatch is the obviously right matcher: "*" tries every length, "$" wants the end.
func slowMatch(pattern, path string, end bool) bool {
	if pattern == "" {
		return !end || path == ""
	}
	if pattern[0] == '*' {
		for i := 0; i <= len(path); i++ {
			if slowMatch(pattern[1:], path[i:], end) {
				return true
			}
		}
		return false
	}
	return path != "" && pattern[0] == path[0] && slowMatch(pattern[1:], path[1:], end)
}

// slowRule tries every rule and keeps the longest, of two as long the less restrictive.
func slowRule(rules []Rule, path string) (best Rule, length int) {
	canonical := string(appendCanonical(nil, path, false))
	for _, rule := range rules {
		text := CanonicalPattern(rule.Pattern)
		bare, end := strings.CutSuffix(text, "$")
		if canonical == robotsPath && bare != robotsPath {
			continue
		}
		if slowMatch(bare, canonical, end) && (len(text) > length || len(text) == length && rule.State < best.State) {
			best, length = rule, len(text)
		}
	}
	return best, length
}

func FuzzMatcher(f *testing.F) {
	f.Add("/fish*\n/*.php$\n/a*b*c\n/robots.txt", "/fishheads/catfish.php?parameters")
	f.Add("/a\n/a/b\n/a/b$\n/*b$", "/a/b")
	f.Add("/*a*a*a$\n/%E3%83%84\n/x?u=%2F", "/aaa")
	f.Add("/\n/%61*\n/ab", "/%61%62")
	f.Fuzz(func(t *testing.T, patterns, path string) {
		if len(path) > 40 || len(patterns) > 120 || strings.Count(patterns, "*") > 6 {
			return // the slow one is exponential
		}
		spec := Spec{Hosts: []string{"h"}, State: Observe}
		seen := map[string]bool{}
		for i, pattern := range strings.Split(patterns, "\n") {
			if CheckPattern(pattern) == nil && !seen[CanonicalPattern(pattern)] {
				seen[CanonicalPattern(pattern)] = true
				spec.Paths = append(spec.Paths, Rule{Pattern: pattern, State: State(i % 3)})
			}
		}
		p, err := New([]Spec{spec})
		if err != nil {
			t.Fatal(err)
		}
		site := p.Site("h")
		got := site.Rule(path)
		want, length := slowRule(site.Rules(), path)
		if length == 0 {
			want = Rule{Pattern: SiteRule, State: Observe}
		}
		// Two patterns as long with the same state are as good as each other.
		if got.State != want.State || len(CanonicalPattern(got.Pattern)) != len(CanonicalPattern(want.Pattern)) {
			t.Fatalf("%q with %q: %+v, want %+v", path, patterns, got, want)
		}
	})
}
