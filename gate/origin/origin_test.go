package origin

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "not.pem")
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		c    Config
		want string // of the error; "": none
	}{
		{Config{Servers: []string{"http://127.0.0.1:3000"}}, ""},
		{Config{Servers: []string{"https://[::1]"}}, ""},
		{Config{Servers: []string{"https://backend:8443"}, ServerName: "x.example", InsecureSkipVerify: true}, ""},
		{Config{Servers: []string{"file:" + filepath.ToSlash(folder)}}, ""},
		{Config{Servers: []string{"file://" + filepath.ToSlash(folder)}}, ""},
		{Config{Servers: []string{""}}, "not an http://"},
		{Config{Servers: []string{"127.0.0.1"}}, "not an http://"},
		{Config{Servers: []string{"ftp://127.0.0.1"}}, "not an http://"},
		{Config{Servers: []string{"http:///x"}}, "has no host"},
		{Config{Servers: []string{"http://a b"}}, "invalid character"},
		{Config{Servers: []string{"file:" + filepath.ToSlash(folder) + "/missing"}}, "missing"},
		{Config{Servers: []string{"file:" + filepath.ToSlash(file)}}, "not.pem"},
		{Config{Servers: []string{"https://127.0.0.1"}, CA: filepath.Join(folder, "missing.pem")}, "ca: "},
		{Config{Servers: []string{"https://127.0.0.1"}, CA: file}, "holds no PEM certificate"},
	} {
		o, err := New(test.c)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q", test.c, err, test.want)
		}
		if err != nil {
			if want := fmt.Sprintf("origin %q: ", test.c.Servers[0]); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q does not begin with %q", err, want)
			}
			continue
		}
		if o.String() != test.c.Servers[0] {
			t.Errorf("%q is not %q", o, test.c.Servers[0])
		}
		o.Close()
	}
}

// CONNECT and TRACE are answered 405, with the methods that are served. Behind a CONNECT nothing is read.
func TestMethodsThatAreNotServed(t *testing.T) {
	url, heads := answering(t, plainOK)
	folder := "file:" + filepath.ToSlash(t.TempDir())
	const any = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	for url, allow := range map[string]string{url: any, folder: "GET, HEAD"} {
		for _, line := range []string{"CONNECT shop.example:443", "CONNECT /path", "TRACE /path"} {
			g := open(t, Config{Servers: []string{url}}, false)
			c, r := g.dial(t)
			fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: shop.example\r\n\r\n", line)
			method, _, _ := strings.Cut(line, " ")
			answer, err := http.ReadResponse(r, nil)
			if err != nil || answer.StatusCode != 405 || answer.Header.Get("Allow") != allow ||
				answer.Close != (method == "CONNECT") {
				t.Errorf("%s: answer %v, error %v", line, answer, err)
			}
			if result := receive(t, g.outcomes); result.err != nil || url != folder && result.status != 0 {
				t.Errorf("%s: outcome %+v", line, result)
			}
			g = open(t, Config{Servers: []string{url}}, true)
			if answer := g.do(t, g.request(t, method, "/", nil)); answer.StatusCode != 405 ||
				answer.Header.Get("Allow") != allow {
				t.Errorf("%s over HTTP/2: %s %v", line, answer.Status, answer.Header)
			}
		}
	}
	if len(heads) != 0 {
		t.Errorf("the origin got %q", <-heads)
	}
}
