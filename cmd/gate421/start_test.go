package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gate421/gate/hint"
	"gate421/gate/server/servertest"
)

// TestStartFails starts gateways that cannot work: one clear line, a hint, exit 1, and nothing left open.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		name    string
		prepare func(s *program) string // returns a part of the configuration
		wanted  string                  // begins and ends so, around "…"
	}{
		{"https port in use", func(*program) string { return fmt.Sprintf("listen: {https: %q, http: \"\"}", taken.Addr()) },
			fmt.Sprintf("gate421: listen.https: cannot listen on %q: address already in use\n"+
				"hint: another program has port … another port", taken.Addr())},
		{"http port in use", func(*program) string {
			return fmt.Sprintf("listen: {https: \"127.0.0.1:0\", http: %q}",
				taken.Addr())
		},
			"gate421: listen.http: cannot listen on …, or give listen.http another port"},
		{"admin port in use", func(*program) string { return fmt.Sprintf("admin: %q", taken.Addr()) },
			"gate421: admin: cannot listen on …, or give admin another port"},
		{"no such address", func(*program) string { return "listen: {https: \"192.0.2.1:8443\", http: \"\"}" },
			"gate421: listen.https: cannot listen on \"192.0.2.1:8443\": cannot assign requested address\n" +
				"hint: no interface of this machine has that address; … listens on all"},
		{"state is a file", func(s *program) string {
			file := filepath.Join(s.Folder, "occupied")
			os.WriteFile(file, nil, 0o600)
			return "state: " + file
		}, "gate421: state folder \"…/occupied\": not a directory\n" +
			"hint: create it for this user, or name another folder: state: in the configuration, --state with run"},
		{"state below a file", func(s *program) string {
			os.WriteFile(filepath.Join(s.Folder, "occupied"), nil, 0o600)
			return "state: $folder/occupied/state"
		}, "gate421: state folder \"…/occupied/state\": not a directory\nhint: … --state with run"},
		{"the log's folder is missing", func(*program) string { return "log: {file: $folder/missing/decisions.log}" },
			"gate421: decision log \"…/missing/decisions.log\": no such file or directory\n" +
				"hint: create its folder and let this user write there, or use file: \"-\" for standard output"},
		{"the log is a folder", func(*program) string { return "log: {file: $state}" },
			"gate421: decision log \"…/state\": is a directory\nhint: … standard output"},
		{"broken guard counts", func(s *program) string {
			os.WriteFile(filepath.Join(s.State(), "guard.json"), []byte("{"), 0o600)
			return ""
		}, "gate421: guard counts \"…/guard.json\": unexpected end of JSON input\n" +
			"hint: if the file cannot be mended, remove it: the guard then counts anew and every site refuses again"},
		{"the key is missing", func(s *program) string {
			pair := servertest.SelfSigned(s.T, s.Folder, time.Now().Add(time.Hour), "shop.test")
			os.Remove(filepath.Join(s.Folder, "key.pem"))
			return "certificates: " + pair
		}, "gate421: …key.pem\": no such file or directory\nhint: …"},
		{"the key is a folder", func(s *program) string {
			pair := servertest.SelfSigned(s.T, s.Folder, time.Now().Add(time.Hour), "shop.test")
			os.Remove(filepath.Join(s.Folder, "key.pem"))
			os.Mkdir(filepath.Join(s.Folder, "key.pem"), 0o700)
			return "certificates: " + pair
		}, "gate421: …key.pem\": not a regular file\nhint: …"},
		{"the certificate is for another host", func(s *program) string {
			return "certificates: " + servertest.SelfSigned(s.T, s.Folder, time.Now().Add(time.Hour), "blog.test")
		}, "gate421: …shop.test…\nhint: …"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newProgram(t)
			s.Write(test.prepare(s) + "\nsites: [{hosts: [shop.test], origin: $echo, http2_crawl: refuse}]")
			out, stderr, err := quiet(t.Context(), []string{"run", "--config", s.File}, "")
			if exitCode(err) != 1 || out != "" {
				t.Errorf("exit %d, stdout %q, stderr %q; want exit 1 and nothing on stdout", exitCode(err), out, stderr)
			}
			said := strings.TrimSuffix(stderr, "\n")
			got := said
			for i, part := range strings.Split(test.wanted, "…") {
				_, after, found := strings.Cut(got, part)
				if !found || i == 0 && !strings.HasPrefix(got, part) {
					t.Fatalf("it says\n%s\nwanted\n%s", said, test.wanted)
				}
				got = after
			}
			if strings.Count(said, "\n") > 1 {
				t.Errorf("more than a line and a hint: %s", said)
			}
		})
	}
}

func TestRunWithFileAndFlags(t *testing.T) {
	file := fileOf(t, "certificates: {source: local}\n"+
		"sites: [{hosts: [shop.test], origin: \"http://127.0.0.1:3000\", http2_crawl: refuse}]\n")
	fails(t, 2, `gate421: --config and the flags of a site exclude each other: write the site into the file
hint: gate421 --help lists the commands, gate421 COMMAND --help what each takes`, "run", "--config", file, "--host", "shop.test")
	fails(t, 1, `gate421: the configuration has 1 problem
--host is missing
hint: write --host example.com, the name that visitors use`, "run", "--origin", "http://127.0.0.1:3000")
	fails(t, 1, `gate421: the configuration has 1 problem
--origin is missing
hint: say where the site's own server is: --origin http://127.0.0.1:3000`, "run", "--host", "shop.test")
	_, _, err := quiet(t.Context(), []string{"run", "--host", "shop.test", "--origin", "http://127.0.0.1:3000",
		"--http2-crawl", "maybe"}, "")
	if exitCode(err) != 1 || !strings.Contains(hint.Message(err), "--http2-crawl") ||
		!strings.Contains(hint.Message(err), "refuse") {
		t.Errorf("a state that is none: exit %d, %s", exitCode(err), hint.Message(err))
	}
}

// TestRunServes is the command itself, from the first line on stderr to the last of the log.
func TestRunServes(t *testing.T) {
	s := newProgram(t)
	s.Write("sites: [{hosts: [shop.test], origin: $echo, http2_crawl: observe, paths: {/a: refuse}}]")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"run", "--config", s.File}, strings.NewReader(""), s.Stdout, s.Stderr)
	}()
	s.Log = servertest.NewLog(t, filepath.Join(s.Folder, "decisions.log"))
	start := s.Log.Wait(map[string]string{"event": "start"})
	s.HTTPS = fmt.Sprint(start["https"])
	s.Roots = servertest.Trusted(t, filepath.Join(s.State(), "local-ca", "root.pem"))
	s.Get(t, "https://shop.test/b", "127.0.0.1", "HTTP/2.0", "browser")
	s.Log.Decision()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("after the end: %v", err)
	}
	s.Log.Wait(map[string]string{"event": "stop"})
	for _, line := range []string{
		"gate421: note: " + s.File + ":", "gate421: serving https on " + fmt.Sprint(start["https"]) + "\n",
		"gate421: site shop.test: nothing is refused; the log says what would be (http2_crawl: observe), with exceptions " +
			"by path\n",
		"gate421: certificates are from the local authority; clients must trust " + filepath.Join(s.State(), "local-ca",
			"root.pem") + "\n",
	} {
		if !strings.Contains(s.Stderr.String(), line) {
			t.Errorf("stderr has no %q but\n%s", line, s.Stderr)
		}
	}
}
