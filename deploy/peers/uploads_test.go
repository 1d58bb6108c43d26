//go:build peers

package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const fromGunicorn = "apt-get install gunicorn"

// countingApp reads as much of a body as it is told that there is, as WSGI has it, and says what it got.
const countingApp = `
def application(environ, start_response):
    length = environ.get("CONTENT_LENGTH") or "none"
    body = environ["wsgi.input"].read(int(length)) if length != "none" else b""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s %d %s" % (length, len(body), body[:8].decode())).encode()]

if __name__ == "__main__":
    import sys
    from wsgiref.simple_server import make_server
    server = make_server("127.0.0.1", int(sys.argv[1]), application)
    print("ready", flush=True)
    server.serve_forever()
`

// countingScript does so as CGI has it.
const countingScript = `#!/usr/bin/python3
import os, sys
length = os.environ.get("CONTENT_LENGTH") or "none"
body = sys.stdin.read(int(length)) if length != "none" else ""
print("Content-Type: text/plain\n\n%s %d %s" % (length, len(body), body[:8]), end="")
`

// nodeUpload sends a body of unknown length over HTTP/2.
const nodeUpload = `
const [,, url, host, size] = process.argv;
const session = require("http2").connect(url, {rejectUnauthorized: false, servername: host});
const stream = session.request({":method": "POST", ":path": "/", ":authority": host});
let said = "";
stream.on("data", (piece) => said += piece);
stream.on("end", () => { process.stdout.write(said); session.close(); });
stream.write("x".repeat(Number(size)));
stream.end();
`

// wsgi starts Python's own server and gunicorn with the application.
func wsgi(t *testing.T, dir string) (own, gunicorn string) {
	t.Helper()
	app := write(t, filepath.Join(dir, "counting.py"), []byte(countingApp))
	own, gunicorn = freePort(t), freePort(t)
	_, port, _ := strings.Cut(own, ":")
	start(t, "ready", tool(t, "python3", fromPython), app, port)
	start(t, "Booting worker", tool(t, "gunicorn", fromGunicorn), "--chdir", dir, "--bind", gunicorn, "--workers", "1", "counting:application")
	return own, gunicorn
}

// cgi starts Apache with a script for every path.
func cgi(t *testing.T, dir, content string) string {
	t.Helper()
	address := freePort(t)
	script := write(t, filepath.Join(dir, "script.cgi"), []byte(content))
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	config := fmt.Appendf(nil, "ServerRoot %[2]q\nServerName localhost\nPidFile %[1]q\nDefaultRuntimeDir %[2]q\nUser www-data\nGroup www-data\n"+
		"Listen %[3]s\nErrorLog /dev/stderr\nLogLevel notice\n", filepath.Join(dir, "apache-cgi.pid"), dir, address)
	for _, module := range []string{"mpm_event", "authz_core", "alias", "cgid"} {
		config = fmt.Appendf(config, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	config = fmt.Appendf(config, "ScriptSock %q\nScriptAlias / %q\n<Directory %q>\nOptions +ExecCGI\nRequire all granted\n</Directory>\n",
		filepath.Join(dir, "cgisock"), script+"/", dir)
	start(t, "resuming normal operations", tool(t, "apache2", fromApache), "-f", write(t, filepath.Join(dir, "apache-cgi.conf"), config), "-DFOREGROUND")
	return address
}

// Applications that read no more than a Content-Length says get the whole body of a client that said none, over both
// protocols. nginx, which waits for the end of every body, is asked the same.
func TestUploadsOfUnknownLength(t *testing.T) {
	dir := folder(t)
	own, gunicorn := wsgi(t, dir)
	script := cgi(t, dir, countingScript)
	front := freePort(t)
	nginx(t, dir, fmt.Sprintf("server { listen %s; location / { proxy_pass http://%s; } }", front, gunicorn))
	g := serve(t, setup{sites: fmt.Sprintf(`
  - {hosts: [own.test], origin: "http://%s", http2_crawl: refuse}
  - {hosts: [gunicorn.test], origin: "http://%s", http2_crawl: refuse}
  - {hosts: [cgi.test], origin: "http://%s", http2_crawl: refuse}
  - {hosts: [nginx.test], origin: "http://%s", http2_crawl: refuse}
`, own, gunicorn, script, front)})
	node := write(t, filepath.Join(dir, "upload.js"), []byte(nodeUpload))
	curl := func(to, size int, args ...string) string {
		t.Helper()
		url := []string{"https://own.test/", "https://gunicorn.test/", "https://cgi.test/", "https://nginx.test/", "http://" + front + "/"}[to]
		args = append([]string{"-sS", "--max-time", "60", "--cacert", g.root, "-T", "-", "-H", "Transfer-Encoding: chunked"}, args...)
		if strings.HasPrefix(url, "https:") {
			args = append(args, "--connect-to", "::127.0.0.1:"+g.port)
		}
		command := exec.CommandContext(t.Context(), tool(t, "curl", fromCurl), append(args, url)...)
		command.Stdin = strings.NewReader(strings.Repeat("x", size))
		said, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("curl %v: %v: %s", args, err, said)
		}
		return string(said)
	}
	names := []string{"Python's own server", "gunicorn", "CGI", "gunicorn behind nginx", "nginx alone"}
	heads := filepath.Join(dir, "heads")
	same := func(to, size int, method, protocol, expects string) {
		t.Helper()
		said := curl(to, size, protocol, "-X", method, "-H", expects, "-D", heads)
		want := fmt.Sprintf("%d %d %s", size, size, strings.Repeat("x", min(size, 8)))
		if said != want && (size > 0 || said != "none 0 ") {
			t.Errorf("%d bytes of curl %s %s, %q, to %s: %q, want %q", size, protocol, method, expects, names[to], said, want)
		}
		answers, err := os.ReadFile(heads)
		if err != nil {
			t.Fatal(err)
		}
		got, most := strings.Count(string(answers), " 100 "), 0
		if expects == "Expect: 100-continue" {
			most = 1
		}
		if got > most || got < most && size > 0 {
			t.Errorf("%d bytes of curl %s %s, %q, to %s: %d go-aheads, want %d: %q", size, protocol, method, expects, names[to], got, most, answers)
		}
	}
	for _, size := range []int{0, 1, 20, 10_000, 60_000} {
		for to := range names {
			for _, protocol := range []string{"--http2", "--http1.1"} {
				for _, expects := range []string{"Expect:", "Expect: 100-continue"} {
					same(to, size, "POST", protocol, expects)
				}
			}
		}
		got := output(t, tool(t, "node", fromNode), node, "https://127.0.0.1:"+g.port, "own.test", fmt.Sprint(size))
		if want := fmt.Sprintf("%d %d %s", size, size, strings.Repeat("x", min(size, 8))); got != want {
			t.Errorf("%d bytes of Node: %q, want %q", size, got, want)
		}
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE", "REPORT"} {
		for _, protocol := range []string{"--http2", "--http1.1"} {
			for _, expects := range []string{"Expect:", "Expect: 100-continue"} {
				same(1, 20, method, protocol, expects)
			}
		}
	}
}
