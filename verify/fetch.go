package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const mostRedirects = 5

// client returns what fetches lists, and what to call when it is not needed any more.
func (l *LiveRanges) client() (client *http.Client, closeIdle func()) {
	closeIdle = func() {}
	transport := l.Transport
	if transport == nil {
		if standard, ok := http.DefaultTransport.(*http.Transport); ok {
			own := standard.Clone()
			own.Protocols = new(http.Protocols)
			own.Protocols.SetHTTP1(true) // one request a day: nothing is won by more
			own.MaxResponseHeaderBytes = 64 << 10
			transport, closeIdle = own, own.CloseIdleConnections
		}
	}
	return &http.Client{Transport: transport, CheckRedirect: checkRedirect}, closeIdle
}

// checkRedirect keeps a redirect from leading anywhere but to the publisher: what it names is asked from inside the
// site's network.
func checkRedirect(to *http.Request, via []*http.Request) error {
	from := via[0].URL
	switch {
	case len(via) > mostRedirects:
		return fmt.Errorf("more than %d redirects", mostRedirects)
	case to.URL.Scheme != "https":
		return fmt.Errorf("redirect to %q, which is not https", to.URL)
	case to.URL.Host != from.Host && !(isGoogle(from) && isGoogle(to.URL)):
		return fmt.Errorf("redirect to %q, which is of another host", to.URL)
	}
	return nil
}

func isGoogle(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	return (host == "google.com" || strings.HasSuffix(host, ".google.com")) && (u.Port() == "" || u.Port() == "443")
}

// fetch asks the server for a list newer than the one in use, and reports whether it gave one. It notes how long the
// server wishes not to be asked again.
func (list *rangeList) fetch(ctx context.Context, client *http.Client) (changed bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, list.url, nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("Accept", "application/jafar+json, application/json")
	if list.etag != "" {
		request.Header.Set("If-None-Match", list.etag)
	} else if list.modified != "" {
		request.Header.Set("If-Modified-Since", list.modified)
	}
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified && (list.etag != "" || list.modified != "") {
		list.fetched, list.wish = time.Now(), freshFor(response.Header)
		return false, nil
	}
	if response.StatusCode != http.StatusOK {
		list.wish = retryIn(response.Header, time.Now())
		return false, fmt.Errorf("status %d", response.StatusCode)
	}
	if kind, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err == nil && kind == "application/jafar+json" {
		if err := checkVersion(parameters["version"]); err != nil {
			return false, err
		}
	}
	text, err := readList(response.Body)
	if err != nil {
		return false, err
	}
	ranges, err := list.accept(text)
	if err != nil {
		return false, err
	}
	changed = !ranges.equal(list.ranges)
	list.ranges, list.text, list.fetched, list.wish = ranges, text, time.Now(), freshFor(response.Header)
	list.etag, list.modified = cleanTag(response.Header.Get("ETag")), cleanDate(response.Header.Get("Last-Modified"))
	return changed, nil
}

// freshFor is how long a response is fresh by its max-age (RFC 9111 section 4.2), 0 if it does not say.
func freshFor(header http.Header) time.Duration {
	for _, directive := range strings.Split(header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if strings.EqualFold(name, "max-age") {
			age, _ := strconv.ParseUint(header.Get("Age"), 10, 31)
			fresh, _ := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			return max(time.Duration(fresh)-time.Duration(age), 0) * time.Second
		}
	}
	return 0
}

// retryIn is how long a server that gave no list wants to be left alone (RFC 9110 section 10.2.3), 0 if it does not
// say.
func retryIn(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// cleanDate returns date if it can be sent back, else none.
func cleanDate(date string) string {
	if _, err := http.ParseTime(date); err != nil {
		return ""
	}
	return date
}

// cleanTag returns tag if it can be sent back (RFC 9110 section 8.8.3), else none.
func cleanTag(tag string) string {
	odd := func(c rune) bool { return c <= ' ' || c >= 0x7f }
	if len(tag) > 256 || strings.ContainsFunc(tag, odd) {
		return ""
	}
	return tag
}

func readList(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, listAtMost+1))
	if err == nil && len(text) > listAtMost {
		err = fmt.Errorf("more than %d bytes", listAtMost)
	}
	return text, err
}

// accept reads a list and holds it against the one in use.
func (list *rangeList) accept(text []byte) (*Ranges, error) {
	ranges, err := ParseRanges(text)
	if err != nil {
		return nil, err
	}
	if now, then := ranges.Len(), list.ranges.Len(); 2*now < then {
		return nil, fmt.Errorf("%d prefixes, less than half of the %d in use", now, then)
	}
	return ranges, nil
}

// file returns the name of the copy on disk, and what is wrong with the URL.
func (list *rangeList) file() (string, error) {
	u, err := url.Parse(list.url)
	switch {
	case err != nil:
		return "", fmt.Errorf("ranges %q: not a URL", list.url)
	case u.Scheme != "https" || u.Host == "" || u.User != nil:
		return "", fmt.Errorf("ranges %q: want https://host/path", list.url)
	}
	name := path.Base(u.Path)
	for _, c := range name {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("-_.", c) || name[0] == '.' || len(name) > 100 {
			return "", fmt.Errorf("ranges %q: its last path element cannot name a file", list.url)
		}
	}
	return "ranges-" + name, nil
}

// rangeCopy is a copy on disk. Without a list it only says when one was asked for.
type rangeCopy struct {
	URL      string          `json:"url"`
	ETag     string          `json:"etag,omitempty"`
	Modified string          `json:"last_modified,omitempty"`
	Fetched  time.Time       `json:"fetched,omitzero"`
	Tried    time.Time       `json:"tried,omitzero"`
	Waiting  time.Time       `json:"waiting_since,omitzero"`
	List     json.RawMessage `json:"list,omitempty"`
}

// load takes the copy on disk if it is newer than the list in use, and reports whether it is another one.
func (list *rangeList) load(dir string) (changed bool, err error) {
	name, err := list.file()
	if err != nil {
		return false, err
	}
	file, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	wrong := func(err error) (bool, error) { return false, fmt.Errorf("%s: %w", file.Name(), err) }
	text, err := io.ReadAll(io.LimitReader(file, 2*listAtMost))
	if err != nil {
		return wrong(err)
	}
	var kept rangeCopy
	if err := json.Unmarshal(text, &kept); err != nil {
		return wrong(err)
	}
	if kept.URL != list.url {
		return wrong(fmt.Errorf("the copy of %q", kept.URL))
	}
	list.tried, list.waiting = kept.Tried, kept.Waiting
	if kept.List == nil {
		return false, nil
	}
	ranges, err := list.accept(kept.List)
	if err != nil {
		return wrong(err)
	}
	made := ranges.Created()
	if made.IsZero() { // it does not say
		made = kept.Fetched
	}
	if made.Before(list.ranges.Created()) {
		return false, nil // this program is newer than the copy
	}
	if kept.Fetched.After(time.Now()) {
		kept.Fetched = time.Time{}
	}
	changed = !ranges.equal(list.ranges)
	list.ranges, list.text, list.fetched = ranges, kept.List, kept.Fetched
	list.etag, list.modified = cleanTag(kept.ETag), cleanDate(kept.Modified)
	return changed, nil
}

// save replaces the copy on disk. Whoever reads meanwhile, or after a crash, finds the old one or the new one whole.
func (list *rangeList) save(dir string) error {
	name, err := list.file()
	if err != nil {
		return err
	}
	text, err := json.Marshal(rangeCopy{
		URL: list.url, ETag: list.etag, Modified: list.modified, List: list.text,
		Fetched: list.fetched.UTC(), Tried: list.tried.UTC(), Waiting: list.waiting.UTC(),
	})
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, name+".*.tmp")
	if err != nil {
		return err
	}
	_, err = temporary.Write(append(text, '\n'))
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
