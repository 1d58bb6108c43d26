package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// selfSigned writes cert.pem and key.pem for hosts, and returns the configuration's certificates section for them.
func selfSigned(t *testing.T, folder string, until time.Time, hosts ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-240 * time.Hour), NotAfter: until}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("{source: files, files: [{cert: %q, key: %q}]}", certFile, keyFile)
}

// TestStartFails starts gateways that cannot work: one clear line, a hint, exit 1, and nothing left open.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		name    string
		prepare func(s *setting) string // returns a part of the configuration
		wanted  string                  // begins and ends so, around "…"
	}{
		{"https port in use", func(*setting) string { return fmt.Sprintf("listen: {https: %q, http: \"\"}", taken.Addr()) },
			fmt.Sprintf("gate421: listen.https: cannot listen on %q: address already in use\nhint: another program has port … another port", taken.Addr())},
		{"http port in use", func(*setting) string { return fmt.Sprintf("listen: {https: \"127.0.0.1:0\", http: %q}", taken.Addr()) },
			"gate421: listen.http: cannot listen on …, or give listen.http another port"},
		{"admin port in use", func(*setting) string { return fmt.Sprintf("admin: %q", taken.Addr()) },
			"gate421: admin: cannot listen on …, or give admin another port"},
		{"no such address", func(*setting) string { return "listen: {https: \"192.0.2.1:8443\", http: \"\"}" },
			"gate421: listen.https: cannot listen on \"192.0.2.1:8443\": cannot assign requested address\nhint: no interface of this machine has that address; … listens on all"},
		{"state is a file", func(s *setting) string {
			file := filepath.Join(s.folder, "occupied")
			os.WriteFile(file, nil, 0o600)
			return "state: " + file
		}, "gate421: state folder \"…/occupied\": not a directory\nhint: create it for this user, or name another folder: state: in the configuration, --state with run"},
		{"state below a file", func(s *setting) string {
			os.WriteFile(filepath.Join(s.folder, "occupied"), nil, 0o600)
			return "state: $folder/occupied/state"
		}, "gate421: state folder \"…/occupied/state\": not a directory\nhint: … --state with run"},
		{"the log's folder is missing", func(*setting) string { return "log: {file: $folder/missing/decisions.log}" },
			"gate421: decision log \"…/missing/decisions.log\": no such file or directory\nhint: create its folder and let this user write there, or use file: \"-\" for standard output"},
		{"the log is a folder", func(*setting) string { return "log: {file: $state}" },
			"gate421: decision log \"…/state\": is a directory\nhint: … standard output"},
		{"broken guard counts", func(s *setting) string {
			os.WriteFile(filepath.Join(s.state(), "guard.json"), []byte("{"), 0o600)
			return ""
		}, "gate421: guard counts \"…/guard.json\": unexpected end of JSON input\nhint: if the file cannot be mended, remove it: the guard then counts anew and every site refuses again"},
		{"the key is missing", func(s *setting) string {
			pair := selfSigned(s.t, s.folder, time.Now().Add(time.Hour), "shop.test")
			os.Remove(filepath.Join(s.folder, "key.pem"))
			return "certificates: " + pair
		}, "gate421: …key.pem\": no such file or directory\nhint: …"},
		{"the key is a folder", func(s *setting) string {
			pair := selfSigned(s.t, s.folder, time.Now().Add(time.Hour), "shop.test")
			os.Remove(filepath.Join(s.folder, "key.pem"))
			os.Mkdir(filepath.Join(s.folder, "key.pem"), 0o700)
			return "certificates: " + pair
		}, "gate421: …key.pem\": not a regular file\nhint: …"},
		{"the certificate is for another host", func(s *setting) string {
			return "certificates: " + selfSigned(s.t, s.folder, time.Now().Add(time.Hour), "blog.test")
		}, "gate421: …shop.test…\nhint: …"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSetting(t)
			s.write(test.prepare(s) + "\nsites: [{hosts: [shop.test], origin: $echo, http2_crawl: refuse}]")
			out, trouble, err := quiet(t.Context(), []string{"run", "--config", s.file}, "")
			if exitCode(err) != 1 || out != "" {
				t.Errorf("exit %d, stdout %q, stderr %q; want exit 1 and nothing on stdout", exitCode(err), out, trouble)
			}
			said := strings.TrimSuffix(trouble, "\n")
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

// TestBindingHints looks at the causes that root, as whom tests may run, does not meet.
func TestBindingHints(t *testing.T) {
	for _, test := range []struct {
		err    error
		wanted string
	}{
		{syscall.EACCES, `gate421: listen.https: cannot listen on ":443": permission denied
hint: ports below 1024 need a right: run under the systemd unit in deploy/, or "setcap cap_net_bind_service=+ep" on the program, or use a port such as :8443`},
		{syscall.EADDRINUSE, `gate421: listen.https: cannot listen on ":443": address already in use
hint: another program has port 443; "ss -ltnp sport = :443" shows which. Stop it, or give listen.https another port`},
		{errors.New("out of sockets"), `gate421: listen.https: cannot listen on ":443": out of sockets`},
	} {
		failed := &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", test.err)}
		if got := message(unbound("listen.https", ":443", failed)); got != test.wanted {
			t.Errorf("%v reads\n%s\nwanted\n%s", test.err, got, test.wanted)
		}
	}
	if got := bare(&fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}); got != syscall.EACCES {
		t.Errorf("bare leaves %v", got)
	}
}

func TestRedirectPort(t *testing.T) {
	for address, wanted := range map[fixed]string{"127.0.0.1:443": "", "[::]:443": "", "127.0.0.1:8443": "8443", "[::1]:4433": "4433"} {
		if got := redirectPort(address); got != wanted {
			t.Errorf("a redirect to %s names the port %q, not %q", address, got, wanted)
		}
	}
}

func TestRunWithFileAndFlags(t *testing.T) {
	file := fileOf(t, "certificates: {source: local}\nsites: [{hosts: [shop.test], origin: \"http://127.0.0.1:3000\", http2_crawl: refuse}]\n")
	fails(t, 2, `gate421: --config and the flags of a site exclude each other: write the site into the file
hint: gate421 --help lists the commands, gate421 COMMAND --help what each takes`, "run", "--config", file, "--host", "shop.test")
	fails(t, 1, `gate421: the configuration has 1 problem
--host is missing
hint: write --host example.com, the name that visitors use`, "run", "--origin", "http://127.0.0.1:3000")
	fails(t, 1, `gate421: the configuration has 1 problem
--origin is missing
hint: say where the site's own server is: --origin http://127.0.0.1:3000`, "run", "--host", "shop.test")
	_, _, err := quiet(t.Context(), []string{"run", "--host", "shop.test", "--origin", "http://127.0.0.1:3000", "--http2-crawl", "maybe"}, "")
	if exitCode(err) != 1 || !strings.Contains(message(err), "--http2-crawl") || !strings.Contains(message(err), "refuse") {
		t.Errorf("a state that is none: exit %d, %s", exitCode(err), message(err))
	}
}

// TestRunServes is the command itself, from the first line on stderr to the last of the log.
func TestRunServes(t *testing.T) {
	s := newSetting(t)
	s.write("sites: [{hosts: [shop.test], origin: $echo, http2_crawl: observe, paths: {/a: refuse}}]")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"run", "--config", s.file}, strings.NewReader(""), s.stdout, s.trouble)
	}()
	s.log = &logbook{t: t, path: filepath.Join(s.folder, "decisions.log")}
	start := s.log.wait(map[string]string{"event": "start"})
	s.gateway = &gateway{secure: fixed(fmt.Sprint(start["https"]))}
	s.roots = trusted(t, filepath.Join(s.state(), "local-ca", "root.pem"))
	s.get(t, "https://shop.test/b", "127.0.0.1", "HTTP/2.0", "browser")
	s.log.decision()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("after the end: %v", err)
	}
	s.log.wait(map[string]string{"event": "stop"})
	for _, line := range []string{
		"gate421: note: " + s.file + ":", "gate421: serving https on " + fmt.Sprint(start["https"]) + "\n",
		"gate421: site shop.test: nothing is refused; the log says what would be (http2_crawl: observe), with exceptions by path\n",
		"gate421: certificates are from the local authority; clients must trust " + filepath.Join(s.state(), "local-ca", "root.pem") + "\n",
	} {
		if !strings.Contains(s.trouble.String(), line) {
			t.Errorf("stderr has no %q but\n%s", line, s.trouble)
		}
	}
}

// fixed is the address of a listener that somebody else has.
type fixed string

func (f fixed) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (f fixed) Close() error              { return nil }
func (f fixed) Addr() net.Addr            { return f }
func (f fixed) Network() string           { return "tcp" }
func (f fixed) String() string            { return string(f) }

func farAway() time.Time { return time.Now().Add(1000 * time.Hour) }
