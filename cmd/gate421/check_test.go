package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gate421/gate/hint"
	"gate421/gate/server/servertest"
)

func TestCheckSaysEverythingAtOnce(t *testing.T) {
	file := fileOf(t, `listen: {https: ":443", htpp: ":80"}
state: var/lib
certificates: {source: local}
sites:
  - hosts: [shop.test]
    origin: 127.0.0.1:3000
    http2_crawl: refuse
    paths: {downloads: allow}
  - hosts: [shop.test]
    origin: http://127.0.0.1:3001
`)
	_, _, err := quiet(t.Context(), []string{"check", "--config", file}, "")
	got := hint.Message(err)
	if exitCode(err) != 1 || !strings.HasPrefix(got, "gate421: the configuration has 6 problems\n") {
		t.Errorf("exit %d, %s; want exit 1 and 6 problems", exitCode(err), got)
	}
	at := 0
	for _, problem := range []string{`:1:25: `, `:2:8: `, `:6:13: `, `:8:13: `, `:9:5: `, `:9:13: `} {
		i := strings.Index(got[at:], file+problem)
		if i < 0 {
			t.Fatalf("no problem at %s, in order, in\n%s", problem, got)
		}
		at += i
	}
	for _, words := range []string{"\n    listen: {https: \":443\", htpp: \":80\"}\n                            ^\n" +
		"hint: did you mean http?", `site "shop.test": path "downloads": `, "http2_crawl is missing"} {
		if !strings.Contains(got, words) {
			t.Errorf("no %q in\n%s", words, got)
		}
	}
	least := fileOf(t, "state: /var/lib/gate421\n")
	fails(t, 1, fmt.Sprintf(`gate421: the configuration has 1 problem
%s:1:1: sites is missing
    state: /var/lib/gate421
    ^
hint: the least is: sites: [{hosts: [example.com], origin: "http://127.0.0.1:3000", http2_crawl: refuse}]`, least), "check", "--config", least)
}

func TestCheckGood(t *testing.T) {
	file := fileOf(t, "state: "+t.TempDir()+`
certificates: {source: local}
sites:
  - {hosts: [shop.test], origin: "http://127.0.0.1:3000", http2_crawl: refuse}
  - {hosts: [blog.test], origin: "http://127.0.0.1:3001", http2_crawl: observe, paths: {/a: refuse}}
`)
	got := works(t, "check", "--config", file)
	if !strings.HasSuffix(got, file+": no problems; 2 sites: shop.test (refuse), blog.test (observe)\n") {
		t.Errorf("check says %q, want no problems and both sites", got)
	}
	if !strings.HasPrefix(got, "note: "+file+":5:") || !strings.Contains(got, "mixes states") {
		t.Errorf("check does not say that a site mixes states: %q", got)
	}
}

// liveFile is a configuration for check --live with these addresses.
func liveFile(t *testing.T, s *program, listen, hosts, origin, certificates, resolver string) string {
	t.Helper()
	s.Write(fmt.Sprintf(`
listen: {https: %q, http: ""}
admin: ""
verify: {resolver: %q, ranges: embedded}
certificates: %s
sites: [{hosts: %s, origin: %s, http2_crawl: refuse}]
`, listen, resolver, certificates, hosts, origin))
	return s.File
}

// steady replaces what differs from run to run.
func steady(s *program, out string) string {
	out = regexp.MustCompile(`\d+ ms`).ReplaceAllString(out, "0 ms")
	out = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(out, "127.0.0.1:PORT")
	out = regexp.MustCompile(`port \d+|sport = :\d+`).ReplaceAllString(out, "port PORT")
	return strings.ReplaceAll(out, s.Folder, "FOLDER")
}

func TestCheckLiveGood(t *testing.T) {
	s := newProgram(t)
	s.DNS.GooglebotAt(t, "66.249.66.1")
	file := liveFile(t, s, servertest.Unused(t), `["127.0.0.1", "*.shop.test", "192.0.2.1"]`, "$echo", "{source: local}",
		"$dns")
	wanted := `FOLDER/gate421.yaml: no problems; 1 site: 127.0.0.1 (refuse)
ok     listen.https: 127.0.0.1:PORT is free
ok     127.0.0.1 leads to this machine (127.0.0.1)
ok     *.shop.test: a wildcard, not looked up
note   192.0.2.1 leads to 192.0.2.1, which is no address of this machine
       hint: that is as it should be behind address translation or a load balancer; otherwise correct its A or AAAA record
ok     origin http://127.0.0.1:PORT of 127.0.0.1 answers over HTTP/1.1: status 200 in 0 ms
ok     certificates come from the local authority, which makes them at the start
ok     resolver 127.0.0.1:PORT proves that 66.249.66.1 is Googlebot (crawl-66-249-66-1.googlebot.com, 0 ms)
`
	if got := steady(s, works(t, "check", "--live", "--config", file)); got != wanted {
		t.Errorf("check --live says\n%s\nwanted\n%s", got, wanted)
	}
	if entries, err := os.ReadDir(s.State()); err != nil || len(entries) > 0 {
		t.Errorf("check --live left %v in the state folder, %v; want nothing", entries, err)
	}
}

// Beside a running gateway its ports are held by it, and that is fine.
func TestCheckLiveBesideARunningGateway(t *testing.T) {
	s := newProgram(t)
	s.DNS.GooglebotAt(t, "66.249.66.1")
	https, http, admin := servertest.Unused(t), servertest.Unused(t), servertest.Unused(t)
	s.Write(fmt.Sprintf(`
listen: {https: %q, http: %q}
admin: %q
sites: [{hosts: ["127.0.0.1"], origin: "$echo", http2_crawl: refuse}]
`, https, http, admin))
	s.start()
	got := works(t, "check", "--live", "--config", s.File)
	for _, want := range []string{
		"listen.https: " + https + " is held by the gate421 that is running",
		"listen.http: " + http + " is held by the gate421 that is running",
		"admin: " + admin + " is held by the gate421 that is running",
	} {
		if !strings.Contains(got, "ok     "+want+"\n") {
			t.Errorf("check --live lacks %q:\n%s", want, got)
		}
	}
}

// What a gateway could not write, or read, is said with the line that names it.
func TestCheckLooksAtFoldersAndRights(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"file": "", "cert.pem": "nothing"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	head := "sites: [{hosts: [shop.test], origin: \"http://127.0.0.1:3000\", http2_crawl: refuse}]\n"
	for _, test := range []struct{ text, want string }{
		{"log: {file: $/none/decisions.log}\nstate: $\n",
			`:2:13: log.file: "$/none/decisions.log" cannot be made: the folder "$/none" is missing`},
		{"log: {file: $}\nstate: $\n", `:2:13: log.file: "$" is a folder`},
		{"log: {file: $/file/decisions.log}\nstate: $\n", `:2:13: log.file: "$/file/decisions.log" not a directory`},
		{"state: $/file\n", `:2:8: state: "$/file" is no folder`},
		{"state: $/file/state\n", `:2:8: state: "$/file/state" not a directory`},
		{"state: $\ncertificates: {source: files, files: [{cert: $/none.pem, key: $/none.key}]}\n",
			`:3:46: certificate "$/none.pem": no such file or directory`},
		{"state: $\ncertificates: {source: files, files: [{cert: $/cert.pem, key: $/cert.pem}]}\n",
			`:3:46: certificate "$/cert.pem": holds no PEM block`},
	} {
		file := fileOf(t, head+strings.ReplaceAll(test.text, "$", folder))
		_, _, err := quiet(t.Context(), []string{"check", "--config", file}, "")
		if want := file + strings.ReplaceAll(test.want, "$", folder); exitCode(err) != 1 ||
			!strings.Contains(hint.Message(err), want) || !strings.Contains(hint.Message(err), "hint: ") {
			t.Errorf("%s: exit %d,\n%s\nwant %s", test.text, exitCode(err), hint.Message(err), want)
		}
	}
	for _, text := range []string{"state: $\nlog: {file: $/new.log}\n", "state: $/new/state\nlog: {file: $/file}\n"} {
		file := fileOf(t, "certificates: {source: local}\n"+head+strings.ReplaceAll(text, "$", folder))
		if got := works(t, "check", "--config", file); !strings.Contains(got, "no problems") {
			t.Errorf("%s: %s; want no problems", text, got)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("check left %v in the folder, %v; want what was there", entries, err)
	}
}

func TestCheckLiveBad(t *testing.T) {
	s := newProgram(t)
	if err := s.DNS.Apply([]string{"fault servfail"}); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	pair := servertest.SelfSigned(t, s.Folder, time.Now().Add(-time.Hour), "127.0.0.1")
	file := liveFile(t, s, taken.Addr().String(), `["127.0.0.1"]`, "$dead", pair, "$dns")
	out, _, err := quiet(t.Context(), []string{"check", "--live", "--config", file}, "")
	if exitCode(err) != 1 || hint.Message(err) != "gate421: 4 of the live checks failed" {
		t.Errorf("exit %d, %s", exitCode(err), hint.Message(err))
	}
	got := regexp.MustCompile(`ended on [0-9-]+`).ReplaceAllString(steady(s, out), "ended on DAY")
	wanted := `FOLDER/gate421.yaml: no problems; 1 site: 127.0.0.1 (refuse)
failed listen.https: cannot listen on "127.0.0.1:PORT": address already in use
       hint: another program has port PORT; "ss -ltnp port PORT" shows which. Stop it, or give listen.https another port
ok     127.0.0.1 leads to this machine (127.0.0.1)
failed origin http://127.0.0.1:PORT of 127.0.0.1 does not answer: refused
       hint: start it, or correct the site's origin; curl -i -H 'Host: 127.0.0.1' http://127.0.0.1:PORT/ shows what it says
failed certificate for 127.0.0.1 ended on DAY
       hint: renew it
failed resolver 127.0.0.1:PORT cannot prove that 66.249.66.1 is Googlebot: servfail
       hint: until it can, nobody is refused; point verify.resolver to a DNS server that answers reverse lookups
`
	if got = regexp.MustCompile(`: refused: .*`).ReplaceAllString(got, ": refused"); got != wanted {
		t.Errorf("check --live says\n%s\nwanted\n%s", got, wanted)
	}
}

func TestCheckLiveCertificates(t *testing.T) {
	s := newProgram(t)
	s.DNS.GooglebotAt(t, "66.249.66.1")
	pair := servertest.SelfSigned(t, s.Folder, time.Now().Add(100*time.Hour), "127.0.0.1")
	file := liveFile(t, s, servertest.Unused(t), `["127.0.0.1"]`, "$echo", pair, "$dns")
	if got := works(t, "check", "--live", "--config", file); !strings.Contains(got,
		"ok     certificate for 127.0.0.1: 4 days left\n") {
		t.Errorf("check --live says\n%s\nwant ok     certificate for 127.0.0.1: 4 days left", got)
	}
	if err := os.Remove(filepath.Join(s.Folder, "key.pem")); err != nil {
		t.Fatal(err)
	}
	out, _, err := quiet(t.Context(), []string{"check", "--live", "--config", file}, "")
	if exitCode(err) != 1 || !strings.Contains(out, "failed ") || !strings.Contains(out, "key.pem") ||
		!strings.Contains(out, "hint: correct certificates.files") {
		t.Errorf("exit %d, %s\n%s\nwant exit 1, the key and the hint", exitCode(err), hint.Message(err), out)
	}
}

// TestCheckLiveReadsStoredCertificates has a state folder in use: whoever looks, root above all, must leave nothing of
// their own.
func TestCheckLiveReadsStoredCertificates(t *testing.T) {
	s := newProgram(t)
	s.DNS.GooglebotAt(t, "66.249.66.1")
	file := liveFile(t, s, servertest.Unused(t), `["localhost.example"]`, "$echo",
		"{source: acme, ca: \"https://ca.test/directory\"}", "$dns")
	out, _, _ := quiet(t.Context(), []string{"check", "--live", "--config", file}, "") // the name leads nowhere
	if !strings.Contains(out, "ok     no certificate for localhost.example is kept yet; it is ordered at the start\n") {
		t.Errorf("check --live says\n%s\n"+
			"want ok     no certificate for localhost.example is kept yet; it is ordered at the start", out)
	}
	if entries, err := os.ReadDir(s.State()); err != nil || len(entries) > 0 {
		t.Errorf("check --live left %v in the state folder, %v; want nothing", entries, err)
	}
	site := filepath.Join(s.State(), "certificates", "certificates", "ca.test-directory", "localhost.example")
	if err := os.MkdirAll(site, 0o700); err != nil {
		t.Fatal(err)
	}
	servertest.SelfSigned(t, site, time.Now().Add(100*time.Hour), "localhost.example")
	for from, to := range map[string]string{"cert.pem": "localhost.example.crt", "key.pem": "localhost.example.key"} {
		if err := os.Rename(filepath.Join(site, from), filepath.Join(site, to)); err != nil {
			t.Fatal(err)
		}
	}
	out, _, _ = quiet(t.Context(), []string{"check", "--live", "--config", file}, "")
	if !strings.Contains(out, "ok     certificate for localhost.example: 4 days left\n") {
		t.Errorf("check --live says\n%s\nwant ok     certificate for localhost.example: 4 days left", out)
	}
	if err := os.WriteFile(filepath.Join(site, "localhost.example.crt"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, _ = quiet(t.Context(), []string{"check", "--live", "--config", file}, "")
	if !strings.Contains(out, "failed host \"localhost.example\": stored certificate ") {
		t.Errorf("check --live says\n%s\nwant failed host 'localhost.example': stored certificate", out)
	}
	if entries, err := os.ReadDir(filepath.Dir(site)); err != nil || len(entries) != 1 {
		t.Errorf("check --live left %v, %v", entries, err)
	}
}

// TestCheckSharedStorage looks at what is here of it, and asks no server.
func TestCheckSharedStorage(t *testing.T) {
	s := newProgram(t)
	s.DNS.GooglebotAt(t, "66.249.66.1")
	file := liveFile(t, s, servertest.Unused(t), `["localhost.example"]`, "$echo",
		`{source: acme, storage: "redis://127.0.0.1:1/2"}`, "$dns")
	out, _, _ := quiet(t.Context(), []string{"check", "--live", "--config", file}, "")
	if !strings.Contains(out, "ok     no certificate for localhost.example has been copied here from "+
		"certificates.storage; what it lacks is ordered at the start\n") {
		t.Errorf("check --live says\n%s\nwant that no certificate has been copied here", out)
	}
	for storage, want := range map[string]string{"rediss://127.0.0.1:1?ca=/nowhere.pem": "/nowhere.pem",
		"redis://127.0.0.1:1/two": `database "two" is not a number`} {
		file := liveFile(t, s, servertest.Unused(t), `["localhost.example"]`, "$echo",
			fmt.Sprintf("{source: acme, storage: %q}", storage), "$dns")
		_, _, err := quiet(t.Context(), []string{"check", "--config", file}, "")
		if exitCode(err) != 1 || !strings.Contains(hint.Message(err), "certificate storage: ") ||
			!strings.Contains(hint.Message(err), want) {
			t.Errorf("%s: exit %d, %s; want exit 1 and %s", storage, exitCode(err), hint.Message(err), want)
		}
	}
}

// TestCheckLooksAtWhatRunOpens names files that are not there: run would fail on each of them, so check does, on all at
// once.
func TestCheckLooksAtWhatRunOpens(t *testing.T) {
	folder := t.TempDir()
	pair := servertest.SelfSigned(t, folder, time.Now().Add(100*time.Hour), "shop.test", "blog.test", "docs.test")
	site := filepath.Join(folder, "site")
	if err := os.Mkdir(site, 0o700); err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(folder, "authority.pem")
	text, err := os.ReadFile(filepath.Join(folder, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	file := fileOf(t, fmt.Sprintf(`
state: %[1]s/state
certificates: %[2]s
sites:
  - {hosts: [shop.test], origin: "http://127.0.0.1:3000", http2_crawl: refuse}
  - {hosts: [blog.test], origin: "https://127.0.0.1:3001", http2_crawl: refuse, origin_tls: {ca: %[1]s/authority.pem}}
  - {hosts: [docs.test], origin: "file:%[1]s/site", http2_crawl: observe}
`, folder, pair))
	works(t, "check", "--config", file)
	for _, gone := range []string{authority, site, filepath.Join(folder, "key.pem")} {
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
	}
	out, _, err := quiet(t.Context(), []string{"check", "--config", file}, "")
	got := strings.ReplaceAll(strings.ReplaceAll(hint.Message(err), file+":", ""), folder, "FOLDER")
	got = regexp.MustCompile(`(?m)^    .*\n`).ReplaceAllString(got, "") // the lines and their carets
	got = regexp.MustCompile(`(?m)^(\d+):\d+: `).ReplaceAllString(got, "line $1: ")
	wanted := `gate421: the configuration has 3 problems
line 3: key "FOLDER/key.pem": no such file or directory
hint: correct certificates.files, and let the user that gate421 runs as read what they name
line 6: site "blog.test": origin "https://127.0.0.1:3001": ca: open FOLDER/authority.pem: no such file or directory
hint: correct the path in the configuration, or make the file or folder readable
line 7: site "docs.test": origin "file:FOLDER/site": open FOLDER/site/: no such file or directory
hint: correct the path in the configuration, or make the file or folder readable`
	if exitCode(err) != 1 || out != "" || got != wanted {
		t.Errorf("exit %d, %q, check says\n%s\nwanted\n%s", exitCode(err), out, got, wanted)
	}
	if _, err := os.Stat(filepath.Join(folder, "state")); err == nil {
		t.Error("check made the state folder")
	}
}

func TestCheckTakesTheShippedExample(t *testing.T) {
	works(t, "check", "--config", filepath.Join("..", "..", "deploy", "gate421.yaml"))
}

// A folder of the service's own user is right for the service, and looked at with sudo it is no problem.
func TestCheckAsRootOfAnothersFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can give a folder away")
		return
	}
	folder := filepath.Join(t.TempDir(), "theirs")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(folder, 1234, 1234); err != nil {
		t.Fatal(err)
	}
	file := fileOf(t, "state: "+folder+"\ncertificates: {source: local}\n"+
		"sites: [{hosts: [shop.test], origin: \"http://127.0.0.1:3000\", http2_crawl: refuse}]\n")
	got := works(t, "check", "--config", file)
	if !strings.Contains(got, "note: "+file+":1:8: state: run by root, gate421 would not start: ") ||
		!strings.Contains(got, "no problems") {
		t.Errorf("check says\n%s\nwant a note and no problem", got)
	}
}

func TestCheckLiveLooksAtEveryServer(t *testing.T) {
	s := newProgram(t)
	s.DNS.GooglebotAt(t, "66.249.66.1")
	file := liveFile(t, s, servertest.Unused(t), `["127.0.0.1"]`,
		`["$echo", "$dead", "$messages", "unix:/nowhere/app.sock"]`, "{source: local}", "$dns")
	out, _, err := quiet(t.Context(), []string{"check", "--live", "--config", file}, "")
	if exitCode(err) != 1 || hint.Message(err) != "gate421: 2 of the live checks failed" {
		t.Errorf("exit %d, %s", exitCode(err), hint.Message(err))
	}
	for _, want := range []string{
		"ok     origin " + s.Origins.URL("echo") + " of 127.0.0.1 answers over HTTP/1.1: status 200",
		"failed origin " + s.Origins.URL("dead") + " of 127.0.0.1 does not answer: refused",
		"ok     origin " + s.Origins.URL("messages") + " of 127.0.0.1 answers over HTTP/2: status 200",
		"failed origin unix:/nowhere/app.sock of 127.0.0.1 does not answer: unreachable",
		"curl -i -H 'Host: 127.0.0.1' --unix-socket /nowhere/app.sock http://127.0.0.1/ shows what it says",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("missing %q in\n%s", want, out)
		}
	}
}
