package origin

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// folder serves files: GET and HEAD, ranges, conditional requests by ETag and time, index.html for a folder. It lists no
// folders, follows no link that leads outside, and serves no name that begins with a dot but .well-known.
type folder struct {
	root *os.Root
}

func newFolder(dir string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root}, nil
}

func (f *folder) close() { f.root.Close() }

func (f *folder) serve(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
	start := time.Now()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return refuseFile(w, http.StatusMethodNotAllowed, start)
	}
	name := path.Clean("/" + r.URL.Path)[1:]
	if hidden(name) {
		return refuseFile(w, http.StatusNotFound, start)
	}
	if name == "" {
		name = "."
	}
	// What a file system of its own mind takes for a separator, a stream or a device is no name here.
	if _, err := filepath.Localize(name); err != nil {
		return refuseFile(w, http.StatusNotFound, start)
	}
	file, info, err := f.open(name)
	if err == nil && info.IsDir() {
		file.Close()
		if !strings.HasSuffix(r.URL.Path, "/") {
			return redirectToFolder(w, r, start)
		}
		file, info, err = f.open(path.Join(name, "index.html"))
	} else if err == nil && strings.HasSuffix(r.URL.Path, "/") {
		file.Close()
		err = fs.ErrNotExist
	}
	if err == nil && !info.Mode().IsRegular() {
		file.Close()
		err = fs.ErrNotExist
	}
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrPermission):
		return refuseFile(w, http.StatusForbidden, start)
	default:
		return refuseFile(w, http.StatusNotFound, start)
	}
	defer file.Close()
	w.Header().Set("Etag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	first := time.Since(start)
	http.ServeContent(w, r, info.Name(), info.ModTime(), file)
	return 0, first, nil
}

// open opens a regular file or a folder; anything else might block.
func (f *folder) open(name string) (*os.File, fs.FileInfo, error) {
	info, err := f.root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, nil, fs.ErrNotExist
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err = file.Stat(); err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != ".well-known" {
			return true
		}
	}
	return false
}

// redirectToFolder adds the slash that makes relative links work. The target stays on this host whatever the path.
func redirectToFolder(w http.ResponseWriter, r *http.Request, start time.Time) (int, time.Duration, error) {
	target := path.Base(r.URL.EscapedPath()) + "/"
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", "./"+target)
	return refuseFile(w, http.StatusMovedPermanently, start)
}

func refuseFile(w http.ResponseWriter, status int, start time.Time) (int, time.Duration, error) {
	http.Error(w, fmt.Sprintf("%d: %s.", status, strings.ToLower(http.StatusText(status))), status)
	return 0, time.Since(start), nil
}
