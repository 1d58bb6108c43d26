package config

import "testing"

// A problem that is found on this machine is shown where its cause stands, and not where one of its words does.
func TestAtMentioned(t *testing.T) {
	c, err := Parse("a.yaml", []byte(`certificates:
  source: files
  files: [{cert: /etc/ssl/a.pem, key: /etc/ssl/a.key}]
sites:
  - hosts: [example.com, www.example.com]
    origin: file:/srv/www
    http2_crawl: observe
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for message, want := range map[string][2]int{
		`host "example.com": no certificate covers it; the files have ["www.example.com"]`:    {5, 13},
		`host "www.example.com": no certificate covers it; the files have ["other.example"]`:  {5, 26},
		`certificate "/etc/ssl/a.pem": no such file or directory`:                             {3, 18},
		`certificate "/etc/ssl/a.pem" with key "/etc/ssl/a.key": they do not belong together`: {3, 39},
		`open /etc/ssl/a.key: permission denied`:                                              {3, 39},
		`these files observe nobody`:                                                          {0, 0},
	} {
		if p := c.AtMentioned(Problem{Message: message}); p.Line != want[0] || p.Column != want[1] {
			t.Errorf("%s: at %d:%d, want %v", message, p.Line, p.Column, want)
		}
	}
}
