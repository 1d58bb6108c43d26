package client

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestKeepAlive(t *testing.T) {
	for said, want := range map[string]struct {
		keep    bool
		keptFor time.Duration
	}{
		"":                                  {true, 0},
		"Keep-Alive: timeout=5":             {true, 5 * time.Second},
		"keep-alive: Timeout = 5, Max=99":   {true, 5 * time.Second},
		"Keep-Alive: max=99, timeout=\"7\"": {true, 7 * time.Second},
		"Keep-Alive: timeout=86400":         {true, keptAtMost},
		"Keep-Alive: timeout=5, max=0":      {false, 5 * time.Second},
		"Keep-Alive: timeout=0":             {false, 0},
		"Keep-Alive: 300":                   {true, 0},
		"Keep-Alive: timeout=-1, max=":      {true, 0},
		"Keep-Alive: timeout=1.5":           {true, 0},
		"Keep-Alive: ,,=,timeout":           {true, 0},
		"Keep-Alive: timeout=5\r\nConnection: keep-alive, Keep-Alive": {true, 5 * time.Second},
		"Keep-Alive: timeout=5\r\nConnection: close":                  {false, 5 * time.Second},
	} {
		text := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + said + strings.Repeat("\r\n", min(len(said), 1)) + "\r\n"
		c, header := &Conn{r: bufio.NewReader(strings.NewReader(text))}, http.Header{}
		h, err := c.ReadHead(header, "GET")
		if err != nil || h.Keep != want.keep || h.KeptFor != want.keptFor || header["Keep-Alive"] != nil {
			t.Errorf("%q: keep %v, %v, %v %v; want %+v", said, h.Keep, h.KeptFor, header, err, want)
		}
	}
}
