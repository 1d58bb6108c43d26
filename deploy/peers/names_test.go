//go:build peers

package peers

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// nodeNames answers with the names of the fields that it got, as they were written, and with names of its own.
const nodeNames = `
const server = require("http").createServer((request, response) => {
  response.writeHead(200, ["Content-Type", "text/plain", "ETag", "\"1\"", "WWW-Authenticate", "Basic", "x-own-SPELLING", "1", "X-UA-Compatible", "IE"]);
  response.end(JSON.stringify(request.rawHeaders));
});
server.on("upgrade", (request, socket) => {
  socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
    JSON.stringify(request.rawHeaders) + "\r\nsec-websocket-PROTOCOL: p\r\n\r\n");
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
`

// Node, which shows names as they were written, gets those of clients over HTTP/1.1 as they wrote them and those of
// HTTP/2 as they are registered; curl gets Node's.
func TestNamesAtNode(t *testing.T) {
	dir, address := folder(t), freePort(t)
	_, port, _ := strings.Cut(address, ":")
	start(t, "ready", tool(t, "node", fromNode), write(t, filepath.Join(dir, "names.js"), []byte(nodeNames)), port)
	g := serve(t, setup{sites: fmt.Sprintf("  - {hosts: [node.test], origin: \"http://%s\", http2_crawl: refuse}\n", address)})
	sent := []string{"DNT: 1", "SOAPAction: x", "x-Own: 1", "sec-ch-ua: x", "X-Real-ip: 6", "Content-MD5: x"}
	ask := func(args ...string) (head string, names []string) {
		t.Helper()
		for _, line := range sent {
			args = append(args, "-H", line)
		}
		said, _ := run(t, tool(t, "curl", fromCurl), append(args, "-sS", "-i", "--max-time", "5", "--cacert", g.root, "--connect-to", "::127.0.0.1:"+g.port, "https://node.test/")...)
		head, body, _ := strings.Cut(said, "\r\n\r\n")
		if _, inside, upgraded := strings.Cut(head, "Sec-WebSocket-Accept: "); upgraded {
			body, _, _ = strings.Cut(inside, "\r\n")
		}
		var raw []string
		if err := json.Unmarshal([]byte(body), &raw); err != nil {
			t.Fatalf("%v in %q", err, said)
		}
		for i := 0; i < len(raw); i += 2 {
			names = append(names, raw[i])
		}
		return head, names
	}
	for _, test := range []struct{ args, names, lines []string }{
		{[]string{"--http1.1"}, []string{"DNT", "SOAPAction", "x-Own", "sec-ch-ua", "X-Real-IP", "Content-MD5"}, []string{"ETag: ", "WWW-Authenticate: ", "x-own-SPELLING: ", "X-UA-Compatible: "}},
		{[]string{"--http2"}, []string{"DNT", "SOAPAction", "X-Own", "Sec-CH-UA", "X-Real-IP", "Content-MD5"}, []string{"etag: ", "www-authenticate: ", "x-own-spelling: "}},
		{[]string{"--http1.1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Key: eA==", "-H", "Sec-WebSocket-Version: 13"},
			[]string{"Sec-WebSocket-Key", "Sec-WebSocket-Version", "DNT"}, []string{"Sec-WebSocket-Accept: ", "sec-websocket-PROTOCOL: "}},
	} {
		head, names := ask(test.args...)
		for _, name := range test.names {
			if !slices.Contains(names, name) {
				t.Errorf("%v: Node got no %s in %q", test.args, name, names)
			}
		}
		for _, line := range test.lines {
			if !strings.Contains(head+"\r\n", "\r\n"+line) {
				t.Errorf("%v: curl got no %q in %q", test.args, line, head)
			}
		}
	}
}

// environmentScript shows what CGI makes of a request.
const environmentScript = `#!/usr/bin/python3
import os, json
print("Content-Type: text/plain\n")
print(json.dumps({name: value for name, value in os.environ.items() if name.startswith("HTTP_")}))
`

// No spelling of a name reaches a CGI script as the name that the gateway vouches for.
func TestLookAlikesAtCGI(t *testing.T) {
	dir := folder(t)
	address := cgi(t, dir, environmentScript)
	g := serve(t, setup{sites: fmt.Sprintf("  - {hosts: [cgi.test], origin: \"http://%s\", http2_crawl: refuse}\n", address)})
	args := []string{"-sS", "--max-time", "60", "--cacert", g.root, "--connect-to", "::127.0.0.1:" + g.port}
	for _, name := range []string{"X-Real-IP", "X_Real_IP", "X-Real_Ip", "X~Real~Ip", "X.Real.Ip", "x!real|ip", "Proxy", "PROXY", "X_Forwarded_For", "X.Forwarded-For", "X-Forwarded_Proto",
		"Forwarded", "True_Client~IP", "CF.Connecting.IP", "X-Forwarded.User", "Content_Length", "Transfer.Encoding", "X-Stays"} {
		args = append(args, "-H", name+": evil")
	}
	for _, protocol := range []string{"--http1.1", "--http2"} {
		var got map[string]string
		if err := json.Unmarshal([]byte(output(t, tool(t, "curl", fromCurl), append(args, protocol, "https://cgi.test/")...)), &got); err != nil {
			t.Fatal(err)
		}
		for name, value := range got {
			if value == "evil" && name != "HTTP_X_STAYS" {
				t.Errorf("%s: the script is told %s", protocol, name)
			}
		}
		if got["HTTP_X_STAYS"] != "evil" || got["HTTP_X_REAL_IP"] != "127.0.0.1" || got["HTTP_X_FORWARDED_FOR"] != "127.0.0.1" || got["HTTP_X_FORWARDED_PROTO"] != "https" {
			t.Errorf("%s: the script is told %q", protocol, got)
		}
	}
}
