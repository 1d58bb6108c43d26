package verify

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const maxRedirects = 5

// client returns the client that fetches lists, and closeIdle to call when it is no longer needed.
func (l *LiveRanges) client() (client *http.Client, closeIdle func()) {
	closeIdle = func() {}
	transport := l.Transport
	if transport == nil {
		if standard, ok := http.DefaultTransport.(*http.Transport); ok {
			own := standard.Clone()
			own.Protocols = new(http.Protocols)
			own.Protocols.SetHTTP1(true) // enough for one request a day
			own.MaxResponseHeaderBytes = 64 << 10
			transport, closeIdle = own, own.CloseIdleConnections
		}
	}
	return &http.Client{Transport: transport, CheckRedirect: checkRedirect}, closeIdle
}

// checkRedirect allows redirects only to the publisher's hosts: the request comes from inside the site's network, so
// any other target would be a server-side request forgery.
func checkRedirect(to *http.Request, via []*http.Request) error {
	from := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
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

// fetch requests the list from its server unless it is unchanged, and reports whether there is a new one. It sets
// serverDelay.
func (r *rangeList) fetch(ctx context.Context, client *http.Client) (changed bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("Accept", "application/jafar+json, application/json")
	if r.etag != "" {
		request.Header.Set("If-None-Match", r.etag)
	} else if r.modified != "" {
		request.Header.Set("If-Modified-Since", r.modified)
	}
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified && (r.etag != "" || r.modified != "") {
		r.fetched, r.serverDelay = time.Now(), freshFor(response.Header)
		return false, nil
	}
	if response.StatusCode != http.StatusOK {
		r.serverDelay = retryIn(response.Header, time.Now())
		return false, fmt.Errorf("status %d", response.StatusCode)
	}
	kind, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err == nil && kind == "application/jafar+json" {
		if err := checkVersion(parameters["version"]); err != nil {
			return false, err
		}
	}
	text, err := readList(response.Body)
	if err != nil {
		return false, err
	}
	ranges, err := r.accept(text)
	if err != nil {
		return false, err
	}
	changed = !ranges.equal(r.ranges)
	r.ranges, r.text, r.fetched, r.serverDelay = ranges, text, time.Now(), freshFor(response.Header)
	r.etag, r.modified = validTag(response.Header.Get("ETag")), validDate(response.Header.Get("Last-Modified"))
	return changed, nil
}

// freshFor is how long a response is fresh by its max-age (RFC 9111 section 4.2); 0 without one.
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

// retryIn is the Retry-After of an error response (RFC 9110 section 10.2.3); 0 without one.
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

// validDate returns date if it may be sent in If-Modified-Since, else "".
func validDate(date string) string {
	if _, err := http.ParseTime(date); err != nil {
		return ""
	}
	return date
}

// validTag returns tag if it may be sent in If-None-Match (RFC 9110 section 8.8.3), else "".
func validTag(tag string) string {
	invalid := func(c rune) bool { return c <= ' ' || c >= 0x7f }
	if len(tag) > 256 || strings.ContainsFunc(tag, invalid) {
		return ""
	}
	return tag
}

func readList(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxListSize+1))
	if err == nil && len(text) > maxListSize {
		err = fmt.Errorf("more than %d bytes", maxListSize)
	}
	return text, err
}
