//go:build peers

package peers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Where the clients come from.
const (
	fromWget     = "apt-get install wget"
	fromWget2    = "apt-get install wget2"
	fromNode     = "apt-get install nodejs"
	fromNpm      = "apt-get install npm"
	fromPython   = "apt-get install python3-requests python3-httpx python3-h2"
	fromPHP      = "apt-get install php-cli php-curl php-symfony-http-client php-guzzlehttp-guzzle"
	fromRuby     = "apt-get install ruby ruby-http-2"
	fromPerl     = "apt-get install libwww-perl liblwp-protocol-https-perl"
	fromJava     = "apt-get install default-jdk-headless libhttpclient5-java"
	fromChromium = "apt-get install chromium"
	fromFirefox  = "apt-get install firefox-esr"
	fromNSS      = "apt-get install libnss3-tools"
)

const (
	overOne = "HTTP/1.1"
	overTwo = "HTTP/2.0"
)

// everyClient is all of them. Those with one connection for each host are to keep it.
func everyClient() []client {
	const jars = "/usr/share/java/httpclient5.jar:/usr/share/java/httpcore5.jar:/usr/share/java/httpcore5-h2.jar:/usr/share/java/slf4j-api.jar"
	node, python, php := []string{"node", "node.js"}, []string{"/usr/bin/python3", "python.py"}, []string{"php", "client.php"}
	ruby, perl := []string{"ruby", "ruby.rb"}, []string{"/usr/bin/perl", "perl.pl"}
	jdk, components := []string{"java", "Jdk.java"}, []string{"java", "-cp", jars, "Components.java"}
	return []client{
		{"chromium-h1", overOne, 0, visitChromium},
		{"chromium-h2", overTwo, 0, visitChromium},
		{"firefox-h1", overOne, 0, visitFirefox},
		{"firefox-h2", overTwo, 0, visitFirefox},
		{"curl-h1", overOne, 3, visitCurl},
		{"curl-h2", overTwo, 3, visitCurl},
		{"h2load-h2", overTwo, 24, visitH2load},
		{"nghttp-h2", overTwo, 9, visitNghttp},
		{"h2load-h1", overOne, 24, visitH2load},
		{"wget-h1", overOne, 9, visitWget},
		{"wget2-h2", overTwo, 3, visitWget2},
		{"go-h1", overOne, 3, visitGo},
		{"go-h2", overTwo, 3, visitGo},
		script("node-https-h1", overOne, 3, fromNode, "https", node...),
		script("node-http2-h2", overTwo, 3, fromNode, "http2", node...),
		script("node-fetch-h1", overOne, 6, fromNode, "fetch", node...), // it closes the connection after HEAD, as its undici does
		script("undici-h1", overOne, 6, fromNode, "undici-h1", node...),
		script("undici-h2", overTwo, 3, fromNode, "undici-h2", node...),
		script("got-h1", overOne, 3, fromNode, "got-h1", node...),
		script("got-h2", overTwo, 6, fromNode, "got-h2", node...), // it asks for the protocol on connections of their own
		script("axios-h1", overOne, 3, fromNode, "axios-h1", node...),
		script("axios-h2", overTwo, 3, fromNode, "axios-h2", node...),
		script("python-urllib-h1", overOne, 12, fromPython, "urllib", python...), // keeps no connection
		script("python-requests-h1", overOne, 3, fromPython, "requests", python...),
		script("python-httpx-h1", overOne, 3, fromPython, "httpx-h1", python...),
		script("python-httpx-h2", overTwo, 3, fromPython, "httpx-h2", python...),
		script("php-curl-h1", overOne, 3, fromPHP, "curl-h1", php...),
		script("php-curl-h2", overTwo, 3, fromPHP, "curl-h2", php...),
		script("php-streams-h1", overOne, 12, fromPHP, "streams", php...), // keeps none
		script("php-symfony-curl-h1", overOne, 3, fromPHP, "symfony-curl-h1", php...),
		script("php-symfony-curl-h2", overTwo, 3, fromPHP, "symfony-curl-h2", php...),
		script("php-symfony-native-h1", overOne, 12, fromPHP, "symfony-native", php...), // keeps none
		script("php-guzzle-h1", overOne, 3, fromPHP, "guzzle-h1", php...),
		script("php-guzzle-h2", overTwo, 3, fromPHP, "guzzle-h2", php...),
		script("ruby-net-http-h1", overOne, 3, fromRuby, "net-http", ruby...),
		script("ruby-http-2-h2", overTwo, 3, fromRuby, "http-2", ruby...),
		script("perl-lwp-h1", overOne, 3, fromPerl, "lwp", perl...),
		script("perl-http-tiny-h1", overOne, 3, fromPerl, "http-tiny", perl...),
		script("java-jdk-h1", overOne, 3, fromJava, "HTTP_1_1", jdk...),
		script("java-jdk-h2", overTwo, 3, fromJava, "HTTP_2", jdk...),
		script("java-components-h1", overOne, 3, fromJava, "classic", components...),
		script("java-components-h2", overTwo, 3, fromJava, "async", components...),
	}
}

// script is a client that is a file in testdata/clients, the last word of its command. It is told which client to be,
// the root's path, the body's path, its name and the hosts.
func script(name, proto string, connections int, from, mode string, command ...string) client {
	return client{name, proto, connections, func(t *testing.T, w *tour) visited {
		args := slices.Clone(command[1:])
		args[len(args)-1] = filepath.Join("testdata", "clients", args[len(args)-1])
		args = append(args, mode, w.root, w.body, w.id)
		said, err := run(t, tool(t, command[0], from), append(args, clientHosts...)...)
		if err != nil {
			t.Errorf("%v (if something is missing: %s)\n%s", err, from, said)
		}
		return told(t, said)
	}}
}

// installPackages puts the packages of Node's clients where they are named in the lock file, and nowhere else.
func installPackages(t *testing.T) {
	t.Helper()
	dir := folder(t)
	for _, name := range []string{"package.json", "package-lock.json"} {
		write(t, filepath.Join(dir, name), read(t, filepath.Join("testdata", "clients", name)))
	}
	if said, err := run(t, tool(t, "npm", fromNpm), "ci", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, said)
	}
	t.Setenv(packagesVariable, dir)
}

// versionOf is what a program says of itself, as far as it matters.
func versionOf(t *testing.T, program string) string {
	t.Helper()
	words := strings.Fields(output(t, program, "--version"))
	return strings.Join(words[:min(len(words), 3)], " ")
}

// hash is the SHA-256 of a file's content.
func hash(t *testing.T, path string) string { return fmt.Sprintf("%x", sha256.Sum256(read(t, path))) }

// visitCurl makes all its requests in one run.
func visitCurl(t *testing.T, w *tour) visited {
	dir, curl := folder(t), tool(t, "curl", fromCurl)
	wanted := w.standard()
	var all []asked
	for a := range wanted {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b asked) int { return strings.Compare(a.url+a.method, b.url+b.method) })
	var args []string
	for i, a := range all {
		one := []string{"--next", "-sS", "--cacert", w.root, map[string]string{overOne: "--http1.1", overTwo: "--http2"}[w.proto],
			"-o", write(t, filepath.Join(dir, fmt.Sprint(i)), nil), "-w", "%{http_code} %{http_version}\\n", a.url}
		switch a.method {
		case "HEAD":
			one = append(one, "--head")
		case "POST":
			one = append(one, "--data-binary", "@"+w.body)
		}
		args = append(args, one...)
	}
	v := visited{version: versionOf(t, curl)}
	for i, line := range strings.Split(strings.TrimSpace(output(t, curl, args[1:]...)), "\n") {
		s := seen{asked: all[i], hash: hash(t, filepath.Join(dir, fmt.Sprint(i)))}
		if s.method == "HEAD" { // the file has the header
			s.hash = "-"
		}
		var version string
		if _, err := fmt.Sscan(line, &s.status, &version); err != nil {
			t.Errorf("curl says %q", line)
		}
		s.proto = map[string]string{"2": overTwo, "1.1": overOne}[version]
		v.seen = append(v.seen, s)
	}
	return v
}

// visitNghttp has one run, and so one connection, for the pages of a host, and one for each other request.
func visitNghttp(t *testing.T, w *tour) visited {
	nghttp := tool(t, "nghttp", fromNghttp2)
	v := visited{version: versionOf(t, nghttp)}
	for _, host := range clientHosts {
		base := "https://" + host
		pages, second, form := []string{base + "/?" + w.id, base + "/second?" + w.id}, base+"/second?"+w.id, base+"/form?"+w.id
		both := output(t, nghttp, append([]string{"--stat", "--null-out"}, pages...)...)
		head := output(t, nghttp, "--verbose", "-H", ":method: HEAD", second)
		posted := output(t, nghttp, "-H", ":method: POST", "--data", w.body, form)
		if strings.Count(both, " 200 ") != 2 || !strings.Contains(head, ":status: 200") {
			t.Errorf("nghttp says\n%s\n%s", both, head)
		}
		v.seen = append(v.seen, seen{asked{"POST", form}, 200, w.proto, fmt.Sprintf("%x", sha256.Sum256([]byte(posted)))})
	}
	return v
}

// visitH2load asks many times, from several connections at once.
func visitH2load(t *testing.T, w *tour) visited {
	const requests, connections = 200, 8
	h2load := tool(t, "h2load", fromNghttp2)
	v := visited{version: versionOf(t, h2load), want: map[asked]int{}}
	for _, host := range clientHosts {
		url := "https://" + host + "/second?" + w.id
		args := []string{"-n", fmt.Sprint(requests), "-c", fmt.Sprint(connections), "-m", "5", url}
		if w.proto == overOne {
			args = append([]string{"--h1"}, args...)
		}
		if said := output(t, h2load, args...); !strings.Contains(said, fmt.Sprintf("status codes: %d 2xx, 0 3xx, 0 4xx", requests)) {
			t.Errorf("%s: %s", host, said)
		}
		v.want[asked{"GET", url}] = requests
	}
	return v
}

func visitWget(t *testing.T, w *tour) visited {
	return w.wget(t, tool(t, "wget", fromWget), []string{"GET", "HEAD", "POST"}, "--no-hsts")
}

// visitWget2 is for GET alone: over HTTP/2 this Wget2 asks for everything with GET, whatever it is told.
func visitWget2(t *testing.T, w *tour) visited {
	v := w.wget(t, tool(t, "wget2", fromWget2), []string{"GET"}, "--no-hsts", "--max-threads=1", "--no-tcp-fastopen", "--no-robots", "--no-compression")
	v.want = map[asked]int{}
	for _, s := range v.seen {
		v.want[s.asked] = 1
	}
	return v
}

// wget has one run for the pages of all hosts, one for the second pages' headers and one for the forms.
func (w *tour) wget(t *testing.T, program string, methods []string, more ...string) visited {
	t.Helper()
	v := visited{version: versionOf(t, program)}
	dir := folder(t)
	rounds := map[string]struct{ paths, args []string }{
		"GET":  {[]string{"/", "/second"}, nil},
		"HEAD": {[]string{"/second"}, []string{"--spider"}},
		"POST": {[]string{"/form"}, []string{"--post-file=" + w.body}},
	}
	for _, method := range methods {
		r := rounds[method]
		args := slices.Concat([]string{"--no-verbose", "--ca-certificate=" + w.root, "--tries=1", "--force-directories", "--directory-prefix=" + dir}, more, r.args)
		for _, host := range clientHosts {
			for _, path := range r.paths {
				args = append(args, "https://"+host+path+"?"+w.id)
			}
		}
		output(t, program, args...)
		for _, host := range clientHosts {
			for _, path := range r.paths {
				s := seen{asked{method, "https://" + host + path + "?" + w.id}, 200, "-", "-"} // any other status is another exit code
				if method != "HEAD" {
					s.hash = hash(t, filepath.Join(dir, host, cmp.Or(path[1:], "index.html")+"?"+w.id))
				}
				v.seen = append(v.seen, s)
			}
		}
	}
	return v
}

// visitGo is net/http of the Go that runs the tests.
func visitGo(t *testing.T, w *tour) visited {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(w.proto == overOne)
	protocols.SetHTTP2(w.proto == overTwo)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: w.trusted(t)}}}
	defer client.CloseIdleConnections()
	v := visited{version: runtime.Version()}
	for a := range w.standard() {
		var body io.Reader
		if a.method == "POST" {
			file, err := os.Open(w.body)
			if err != nil {
				t.Fatal(err)
			}
			body = file
		}
		request, err := http.NewRequestWithContext(context.Background(), a.method, a.url, body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		v.seen = append(v.seen, seen{a, answer.StatusCode, answer.Proto, fmt.Sprintf("%x", sha256.Sum256(content))})
	}
	return v
}
