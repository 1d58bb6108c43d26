package origin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gate421/gate/http1"
)

// folder serves files: GET and HEAD, ranges, conditional requests by ETag and time, index.html for a folder. It lists
// no folders, and serves no name that begins with a dot but .well-known.
//
// Every request opens the folder again by its name, and everything of that request comes from what it has opened: a
// folder that is replaced, or a link that is switched to another release, is followed by the next request, and no
// request gets a part of either. A file that is being sent stays the one that was opened.
//
// Symbolic links are followed where they lead to something in the folder, however they are written. What leads
// outside is not found, also where it is switched at that very moment: the file is opened by os.Root in any case.
type folder struct {
	path       string    // absolute
	beginnings sync.Pool // of *[lookedAt]byte, of texts
	name       string    // as configured
	outage     outage
	onHealth   func(Health) // nil: nobody is
	files      *Descriptors
}

func newFolder(dir string) (*folder, error) {
	where, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{path: where}
	root, err := f.root()
	if err != nil {
		return nil, err
	}
	root.Close()
	return f, nil
}

// root opens the folder as it is now. The separator makes sure that nothing else is opened, which may block.
func (f *folder) root() (*os.Root, error) { return os.OpenRoot(f.path + string(filepath.Separator)) }

func (f *folder) serve(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
	start := time.Now()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return rejectFile(w, http.StatusMethodNotAllowed, start)
	}
	if err := f.files.acquire(r.Context()); err != nil {
		w.Header().Set("Retry-After", "10")
		rejectFile(w, http.StatusServiceUnavailable, start)
		return 0, time.Since(start), failureOf(err, r.Context().Err() != nil)
	}
	defer f.files.release()
	name := path.Clean("/" + r.URL.Path)[1:]
	if hidden(name) {
		return rejectFile(w, http.StatusNotFound, start)
	}
	if name == "" {
		name = "."
	}
	// What a file system of its own mind takes for a separator, a stream or a device is no name here.
	if _, err := filepath.Localize(name); err != nil {
		return rejectFile(w, http.StatusNotFound, start)
	}
	root, err := f.root()
	if err != nil { // it is being replaced, or gone: no page of it is missing for that
		w.Header().Set("Retry-After", "10")
		rejectFile(w, http.StatusServiceUnavailable, start)
		failure := &Failure{Unreachable, err}
		if news, said := f.outage.failed(f.name, failure); said && f.onHealth != nil {
			f.onHealth(news)
		}
		return 0, time.Since(start), failure
	}
	defer root.Close()
	if news, said := f.outage.answered(f.name); said && f.onHealth != nil {
		f.onHealth(news)
	}
	file, info, err := f.open(root, name)
	if err == nil && info.IsDir() {
		file.Close()
		if !strings.HasSuffix(r.URL.Path, "/") {
			return redirectToFolder(w, r, start)
		}
		file, info, err = f.open(root, path.Join(name, "index.html"))
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
		return rejectFile(w, http.StatusForbidden, start)
	case unreadable(err):
		w.Header().Set("Retry-After", "10")
		rejectFile(w, http.StatusServiceUnavailable, start)
		return 0, time.Since(start), &Failure{Unreachable, err}
	default:
		return rejectFile(w, http.StatusNotFound, start)
	}
	defer file.Close()
	header := w.Header()
	header.Set("Etag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	header.Set("Content-Type", f.contentType(info.Name(), file))
	cleanRange(r, info.Size())
	root.Close() // a slow client holds one descriptor, as counted
	first := time.Since(start)
	content := &wholeFile{file: file}
	http.ServeContent(w, r, info.Name(), info.ModTime(), content)
	if content.short.Load() {
		return 0, first, &Failure{Reset, aborted(io.ErrUnexpectedEOF)}
	}
	return 0, first, nil
}

// wholeFile is a file whose end nobody should meet: the response says how long it is.
type wholeFile struct {
	file  *os.File
	short atomic.Bool // it has become shorter since
}

// Read serves io.Reader.
func (w *wholeFile) Read(p []byte) (int, error) {
	n, err := w.file.Read(p)
	if err == io.EOF {
		w.short.Store(true)
	}
	return n, err
}

// Seek serves io.Seeker.
func (w *wholeFile) Seek(offset int64, whence int) (int64, error) { return w.file.Seek(offset, whence) }

// open opens a regular file or a folder; anything else might block. os.Root follows no link that is absolute or
// leaves the folder on its way: where such a link leads is found out first, and opened by a name without links.
func (f *folder) open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	file, info, err := openIn(root, name)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return file, info, err
	}
	real, err := filepath.EvalSymlinks(filepath.Join(f.path, name))
	if err != nil {
		return nil, nil, err
	}
	top, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return nil, nil, err
	}
	inside, err := filepath.Rel(top, real)
	if err != nil || !filepath.IsLocal(inside) {
		return nil, nil, fs.ErrNotExist
	}
	return openIn(root, inside)
}

func openIn(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, nil, fs.ErrNotExist
	}
	file, err := root.OpenFile(name, os.O_RDONLY|withoutWaiting, 0) // it may have become another one
	if err != nil {
		return nil, nil, err
	}
	if info, err = file.Stat(); err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// unreadable says whether an error tells of this process, the machine or its disks, and not that nothing has the name:
// a crawler that is told so drops the page.
func unreadable(err error) bool {
	for _, trouble := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT} {
		if errors.Is(err, trouble) {
			return true
		}
	}
	return false
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
	where, query, asked := strings.Cut(http1.OriginForm(r.RequestURI), "?")
	target := "./" + path.Base(strings.TrimSuffix(where, "/")) + "/"
	if asked && query != "" {
		target += "?" + query
	}
	w.Header().Set("Location", target)
	return rejectFile(w, http.StatusMovedPermanently, start)
}

func rejectFile(w http.ResponseWriter, status int, start time.Time) (int, time.Duration, error) {
	http.Error(w, fmt.Sprintf("%d: %s.", status, strings.ToLower(http.StatusText(status))), status)
	return 0, time.Since(start), nil
}
