//go:build peers

package peers

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	fromGSSAPI  = "apt-get install libapache2-mod-auth-gssapi"
	fromNTLMSSP = "apt-get install gss-ntlmssp"
)

// loginApache starts Apache with a site whose logins are NTLM's, in Negotiate: a conversation of two requests
// proves who sends the requests of a connection. It says in X-Person who that is. people are the files with which
// curl is one of them.
func loginApache(t *testing.T) (address string, people map[string]string) {
	t.Helper()
	dir := folder(t)
	const modules = "/usr/lib/apache2/modules/"
	exists(t, modules+"mod_auth_gssapi.so", fromGSSAPI)
	exists(t, "/etc/gss/mech.d/mech.ntlmssp.conf", fromNTLMSSP)
	write(t, filepath.Join(dir, "www", "page.txt"), []byte("a page\n"))
	people = map[string]string{}
	var all string
	for _, name := range []string{"ann", "bob"} {
		line := "TEST:" + name + ":secret-" + name + "\n"
		people[name] = write(t, filepath.Join(dir, name), []byte(line))
		all += line
	}
	file := write(t, filepath.Join(dir, "people"), []byte(all))
	address = freePort(t)
	config := fmt.Appendf(nil, `
ServerRoot %[1]q
ServerName localhost
PidFile "%[1]s/apache.pid"
DefaultRuntimeDir %[1]q
User www-data
Group www-data
Listen %[2]s
ErrorLog /dev/stderr
LogLevel notice
KeepAliveTimeout 60
DocumentRoot "%[1]s/www"
`, dir, address)
	for _, module := range []string{"mpm_event", "authz_core", "authn_core", "authz_user", "headers", "auth_gssapi"} {
		config = fmt.Appendf(config, "LoadModule %s_module %smod_%s.so\n", module, modules, module)
	}
	config = append(config, `
<Location />
AuthType GSSAPI
AuthName site
GssapiConnectionBound On
GssapiAllowedMech ntlmssp
Require valid-user
Header set X-Person expr=%{REMOTE_USER}
</Location>
`...)
	start(t, "resuming normal operations", "env", "NTLM_USER_FILE="+file, tool(t, "apache2", fromApache),
		"-f", write(t, filepath.Join(dir, "apache.conf"), config), "-DFOREGROUND")
	return address, people
}

// exists fails where a file is missing that a package has.
func exists(t *testing.T, path, from string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: %s", err, from)
	}
}

// Who has logged in at Apache over a connection is nobody else, whatever protocols both speak; and the login, which
// takes two requests, is good for all that follow on its client's connection.
func TestLoginIsOneClients(t *testing.T) {
	apache, people := loginApache(t)
	site := fmt.Sprintf("\n  - {hosts: [site.test], origin: \"http://%s\", http2_crawl: refuse}\n", apache)
	g := serve(t, setup{sites: site})
	cdn := `, trusted_proxies: ["127.0.0.0/8"], client_ip_header: X-Forwarded-For`
	behind := serve(t, setup{sites: site, door: cdn})
	dir, others := folder(t), []string{freePort(t), freePort(t)}
	nginx(t, dir, fmt.Sprintf(`upstream login { server %s; keepalive 8; }
	server {
		listen %s;
		location / { proxy_pass http://login; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}`,
		apache, others[0]))
	balancer := write(t, filepath.Join(dir, "haproxy.cfg"), fmt.Appendf(nil, `
defaults
	mode http
	timeout client 30s
	timeout server 30s
	timeout connect 5s
	http-reuse always
frontend in
	bind %s
	default_backend login
backend login
	server login %s
`, others[1], apache))
	start(t, "Loading success", tool(t, "haproxy", fromHAProxy), "-W", "-db", "-f", balancer)

	all := []string{"--http1.1", "--http2"}
	for _, l := range []struct {
		name, address, root string
		protocols           []string
		logsIn, ours        bool
	}{
		{"gate421", "127.0.0.1:" + g.port, g.root, all, true, true},
		{"gate421 behind a CDN", "127.0.0.1:" + behind.port, behind.root, all, false, true},
		{"HAProxy", others[1], "", []string{"--http1.1"}, true, false},
		{"nginx", others[0], "", []string{"--http1.1"}, true, false},
	} {
		// asks makes three requests, as one of the people or nobody, and returns status and person of each last answer.
		asks := func(protocol, who string) []string {
			host, port, _ := net.SplitHostPort(l.address)
			url := "http://site.test:" + port + "/page.txt"
			args := []string{
				"NTLM_USER_FILE=" + people[who], tool(t, "curl", fromCurl), "-sS", "-m", "20", protocol,
				"-w", `%{http_code} %header{x-person}\n`,
				"--resolve", "site.test:" + port + ":" + host,
			}
			if l.root != "" {
				url, args = strings.Replace(url, "http:", "https:", 1), append(args, "--cacert", l.root)
			}
			if who != "" {
				args = append(args, "--negotiate", "-u", ":")
			}
			for range 3 {
				args = append(args, "-o", "/dev/null", url)
			}
			return strings.Split(strings.TrimSuffix(output(t, "env", args...), "\n"), "\n")
		}
		for _, protocol := range l.protocols {
			for _, other := range l.protocols {
				for _, c := range []struct{ protocol, who string }{
					{protocol, "ann"}, {other, ""}, {other, "bob"}, {protocol, "ann"},
				} {
					want := "401 "
					if c.who != "" && l.logsIn && c.protocol == "--http1.1" {
						want = `200 TEST\` + c.who
					}
					got := asks(c.protocol, c.who)
					t.Logf("%s, ann over %s, %q over %s: %q", l.name, protocol, c.who, c.protocol, got)
					if l.ours && !slices.Equal(got, []string{want, want, want}) {
						t.Errorf("want 3 times %q", want)
					}
				}
			}
		}
	}
}
