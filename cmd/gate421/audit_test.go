package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gate421/gate/audit"
	"gate421/gate/report/analysis"
	"gate421/gate/server/servertest"
)

// decisionsLog writes a small log with the real one and returns its path and its lines.
func decisionsLog(t *testing.T) (path string, lines []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "decisions.log")
	l, err := audit.Open(audit.Config{File: path, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	crawl := audit.Record{Time: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Site: "shop.test", Host: "www.shop.test",
		Path: "/a?b=1", Proto: "HTTP/2.0",
		Claim: "googlebot", Verdict: "genuine", Rule: "http2_crawl", State: "refuse", Action: "refuse", Reason: "refused",
		Status: 421, RequestID: "r1"}
	if err := l.Refusal(&crawl); err != nil {
		t.Fatal(err)
	}
	back := crawl
	back.Time, back.Proto, back.Action, back.Reason, back.Status, back.RequestID = crawl.Time.Add(time.Hour), "HTTP/1.1",
		"serve", "http1", 200, "r2"
	l.Decision(&back)
	other := audit.Record{Time: crawl.Time.Add(2 * time.Hour), Site: "other.test", Path: "/\x1b[2J\u202e",
		Proto: "HTTP/1.1", Action: "serve", Reason: "http1", Status: 200, RequestID: "r3"}
	l.Decision(&other)
	l.Event("guard", audit.Fields{"site": "shop.test", "what": "tripped"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
}

func TestAuditReport(t *testing.T) {
	path, lines := decisionsLog(t)
	var r analysis.Report
	for _, args := range [][]string{{path, "--json"}, {path, "--format", "json"},
		{"--config", fileOf(t, "log: {file: "+path+"}\nsites: [{hosts: [shop.test], origin: http://127.0.0.1:3000, "+
			"http2_crawl: observe}]\n"), "--json"}} {
		if err := json.Unmarshal([]byte(works(t, append([]string{"audit", "report"}, args...)...)), &r); err != nil {
			t.Fatal(err)
		}
		if r.Crawl.Refused != 1 || r.Crawl.ComeBacks != 1 || len(r.Changes) != 1 || r.Log.Files[0] != path {
			t.Errorf("audit report %q: %+v; want one refusal, one come-back, one change", args, r)
		}
	}
	out, stderr, err := quiet(t.Context(), []string{"audit", "report", "-", "--json", "--site", "SHOP.test", "--path",
		"/a", "--until", "2026-11-20T12:30:00Z"}, strings.Join(lines, ""))
	if err != nil || stderr != "" || json.Unmarshal([]byte(out), &r) != nil || r.Log.Records != 1 ||
		r.Scope.Path != "/a" || r.Scope.Site != "shop.test" {
		t.Errorf("the report from stdin: %v, stderr %q, want one record of shop.test below /a:\n%s", err, stderr, out)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if out := works(t, "audit", "report", path, "--format", "html", "-o", file); out != "" {
		t.Errorf("audit report --output says %q, want nothing", out)
	}
	info, err := os.Stat(file)
	left, _ := os.ReadDir(filepath.Dir(file))
	if err != nil || info.Mode().Perm() != 0o640 || info.Size() < 100 || len(left) != 1 {
		t.Errorf("the report is %v, %v, among %v; want one file with mode 0640", info, err, left)
	}
}

func TestAuditShow(t *testing.T) {
	path, lines := decisionsLog(t)
	const crawl = "2026-11-20T12:00:00.000Z  www.shop.test/a?b=1  HTTP/2.0  googlebot genuine  refused  421  rule " +
		"http2_crawl\n"
	const back = "2026-11-20T13:00:00.000Z  www.shop.test/a?b=1  HTTP/1.1  googlebot genuine  http1  200  rule " +
		"http2_crawl\n"
	const other = "2026-11-20T14:00:00.000Z  other.test/\\x1b[2J\ufffd  HTTP/1.1  http1  200\n"
	for args, wanted := range map[string]string{
		"":                             crawl + back + other,
		"--reason refused":             crawl,
		"--crawler googlebot":          crawl + back,
		"--site other.test":            other,
		"--path /*b=1$":                crawl + back,
		"--since 2026-11-20T13:00:00Z": back + other,
		"--crawler Googlebot":          crawl + back,
		"--reason http1 --json":        lines[1] + lines[2],
		"--request-id r1 --json":       lines[0],
	} {
		if got := works(t, append([]string{"audit", "show", path}, strings.Fields(args)...)...); got != wanted {
			t.Errorf("%s:\n%swanted\n%s", args, got, wanted)
		}
	}
	if out, said, err := quiet(t.Context(), []string{"audit", "show", path, "--client", "192.0.2.1"}, ""); out != "" ||
		said != "gate421: no record fits\n" || err != nil {
		t.Errorf("nothing fits: %q, %q, %v; want a word on stderr and no error", out, said, err)
	}
	one := works(t, "audit", "show", path, "--request-id", "r3")
	if !strings.HasPrefix(one, "v               1\ntime            2026-11-20T14:00:00.000000Z\n") ||
		!strings.Contains(one, "path            /\\x1b[2J\ufffd\n") || strings.Count(one, "\n") != 12 {
		t.Errorf("the record of r3 is\n%s\nwant 12 fields, the path escaped", one)
	}
	fails(t, 1, "gate421: no record has the request id \"r9\"\n"+
		"hint: is it in an older file, or outside of --since and --until?", "audit", "show", path, "--request-id", "r9")
}

func TestAuditTail(t *testing.T) {
	t.Parallel()
	path, lines := decisionsLog(t)
	if got := works(t, "audit", "tail", path, "--no-follow", "-n", "2"); !strings.Contains(got,
		"guard  site=shop.test  what=tripped\n") || strings.Count(got, "\n") != 2 {
		t.Errorf("the last two lines are %q, want the guard's among them", got)
	}
	if got := works(t, "audit", "tail", path, "--no-follow", "--json"); got != strings.Join(lines, "")+"\n" {
		t.Errorf("the lines are %q, want them as they are: %q", got, lines)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, ended := &servertest.Transcript{}, make(chan error, 1)
	go func() { ended <- run(ctx, []string{"audit", "tail", path}, strings.NewReader(""), out, out) }()
	(&servertest.Env{T: t}).WaitFor("all four lines are there", func() bool {
		return strings.Count(out.String(), "\n") == 4
	})
	cancel()
	if err := <-ended; err != nil || strings.Count(out.String(), "\n") != 4 {
		t.Errorf("following ends with %v after %q, want no error and four lines", err, out)
	}
}

func TestAuditErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	const times = "\nhint: write 7d, 36h, 2w, 2026-11-01 or 2026-11-01T12:00:00Z"
	path, _ := decisionsLog(t)
	toStdout := fileOf(t, "sites: [{hosts: [shop.test], origin: http://127.0.0.1:3000, http2_crawl: observe}]\n")
	foreign := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(foreign, []byte("66.249.66.1 - - \"GET / HTTP/1.1\" 200\n{\"level\":\"info\"}\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		code   int
		args   string
		wanted string
	}{
		{2, "report --since yesterday", "gate421: --since \"yesterday\" is neither a time nor how long ago it was" + times},
		{2, "report --since 1d --until 2d", "gate421: --since is not before --until: no record can fit" + times},
		{2, "show --path shop", "gate421: --path \"shop\" must begin with \"/\"\n" +
			"hint: patterns are written as in robots.txt: /shop/, /*.pdf$"},
		{2, "show --client example.com",
			"gate421: --client \"example.com\" is no address and no range of addresses\n" +
				"hint: write 66.249.66.1 or 66.249.64.0/19"},
		{2, "show --reason refuse " + path,
			"gate421: --reason \"refuse\" matches no record there can be\nhint: did you mean --reason refused?"},
		{2, "tail --reason http2 " + path,
			"gate421: --reason \"http2\" matches no record there can be\nhint: did you mean --reason http1?"},
		{2, "show --crawler gogglebot " + path,
			"gate421: --crawler \"gogglebot\" matches no record there can be\nhint: did you mean --crawler googlebot?"},
		{2, "report --site www.shop.test " + path,
			"gate421: --site \"www.shop.test\": no line of the log is of this site\n" +
				"hint: it is a host of the site shop.test: --site shop.test"},
		{2, "report --site shpo.test " + path,
			"gate421: --site \"shpo.test\": no line of the log is of this site\nhint: did you mean --site shop.test?"},
		{2, "show --site example.com " + path,
			"gate421: --site \"example.com\": no line of the log is of this site\n" +
				"hint: the sites in the log are other.test, shop.test"},
		{2, "tail --site shpo.test --config " + toStdout + " " + path,
			"gate421: --site \"shpo.test\" matches no record there can be\nhint: did you mean --site shop.test?"},
		{1, "report " + foreign, "gate421: no line of \"" + foreign + "\" is one of a decision log\n" +
			"hint: the configuration says where the decision log is: log: file:; with \"-\" it is what gate421 writes to " +
			"standard output"},
		{1, "show " + foreign, "gate421: no line of \"" + foreign + "\" is one of a decision log\n" +
			"hint: the configuration says where the decision log is: log: file:; with \"-\" it is what gate421 writes to " +
			"standard output"},
		{1, "report no.log", "gate421: decision log \"no.log\": no such file or directory\n" +
			"hint: the configuration says where the log is: log: file:; a relative path begins in the folder that gate421 " +
			"runs in"},
		{1, "tail .", "gate421: decision log \".\": is not a regular file"},
		{1, "report", "gate421: which decision log? No file is named, and there is no configuration gate421.yaml in this " +
			"folder\nhint: name the log, - for standard input, or the configuration with --config FILE"},
		{1, "report --config " + toStdout,
			"gate421: " + toStdout + ": log: file: is \"-\": the decision log goes to standard output, and nobody but you " +
				"knows where it is kept\nhint: name the file, or pipe it in: … | gate421 audit report -"},
		{2, "tail -", "gate421: standard input has no end to begin at: gate421 audit show - prints all of it\n" +
			"hint: gate421 --help lists the commands, gate421 COMMAND --help what each takes"},
		{1, "report --output no/such/folder.html " + path,
			"gate421: report \"no/such/folder.html\": no such file or directory"},
	} {
		fails(t, test.code, test.wanted, append([]string{"audit"}, strings.Fields(test.args)...)...)
	}
}

// A site is found by any of its hosts where the configuration is at hand, also one that has no line yet.
func TestAuditSiteByItsHosts(t *testing.T) {
	path, _ := decisionsLog(t)
	file := fileOf(t, `certificates: {source: local}
sites:
  - {hosts: [shop.test, www.shop.test, "*.shop.test"], origin: http://127.0.0.1:3000, http2_crawl: observe}
  - {hosts: [new.test], origin: http://127.0.0.1:3000, http2_crawl: observe}
`)
	want := works(t, "audit", "report", path, "--json", "--site", "shop.test")
	for _, host := range []string{"www.shop.test", "m.shop.test", "SHOP.test"} {
		if got := works(t, "audit", "report", path, "--json", "--config", file, "--site", host); got != want {
			t.Errorf("--site %s:\n%s\nwant\n%s", host, got, want)
		}
	}
	if got := works(t, "audit", "report", path, "--config", file, "--site", "new.test"); !strings.Contains(got,
		"Only the site new.test.") {
		t.Errorf("a site without a line reads %s, want its name", got)
	}
}

func TestMoments(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, wanted := range map[string]string{
		"7d": "2026-11-15 12:00:00", "36h": "2026-11-21 00:00:00", "2w": "2026-11-08 12:00:00",
		"1w1d1h30m": "2026-11-14 10:30:00", "0d": "2026-11-22 12:00:00",
		"2026-11-01": "2026-11-01 00:00:00", "2026-11-01T12:00:00+01:00": "2026-11-01 11:00:00",
	} {
		if got, err := parseTime(text, now); err != nil || got.Format(time.DateTime) != wanted {
			t.Errorf("%s is %v, %v; want %s", text, got, err, wanted)
		}
	}
	for _, text := range []string{"7", "d", "-7d", "7d-1h", "1d1w", "2026-13-01", "now", "7 d", "99999999d"} {
		if got, err := parseTime(text, now); err == nil {
			t.Errorf("%s is taken for %v, want an error", text, got)
		}
	}
	if _, err := parseTime("9999w", now); err != nil {
		t.Error(err)
	}
}
