package server

import (
	"context"
	"path/filepath"
	"time"

	"gate421/gate/config"
	"gate421/gate/files"
	"gate421/gate/guard"

	"github.com/fsnotify/fsnotify"
)

// versionOf is the version of a file's text, "" where it cannot be read.
func versionOf(path string) string {
	const most = 2 << 20 // more than a configuration may have
	text, err := files.Read(path, most)
	if err != nil {
		return ""
	}
	return config.Version(text)
}

// How long a file has to be unchanged before it is read, and how often it is read without any event.
const (
	settleTime   = 100 * time.Millisecond
	pollInterval = time.Second
)

// changes sends when a file may have changed, until ctx ends; never for "". It watches the folder, since editors rename
// a new file into place and ConfigMaps swap a symbolic link. What sends no event (a link further up the path, a network
// file system) is found by polling.
func changes(ctx context.Context, file string) <-chan struct{} {
	out := make(chan struct{}, 1)
	if file == "" {
		return out
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil { // out of watches: poll
		watcher = &fsnotify.Watcher{}
	} else {
		watcher.Add(filepath.Dir(file))
		context.AfterFunc(ctx, func() { watcher.Close() })
	}
	go func() {
		timer := time.NewTimer(pollInterval)
		defer timer.Stop()
		var first time.Time // of the events since the last send
		for {
			select {
			case <-ctx.Done():
				return
			case <-watcher.Errors: // events were lost: the next poll finds them
				continue
			case event := <-watcher.Events:
				if event.Has(fsnotify.Write) && filepath.Base(event.Name) != filepath.Base(file) {
					continue
				}
				if first.IsZero() {
					first = time.Now()
				}
				if time.Since(first) < pollInterval {
					timer.Reset(settleTime)
				}
				continue
			case <-timer.C:
			}
			first = time.Time{}
			select {
			case out <- struct{}{}:
			default:
			}
			timer.Reset(pollInterval)
		}
	}()
	return out
}

// watchRequests has the guard take up requests to resume a site when they are made, until ctx ends, and closes done
// then. The guard itself looks once a second, so that nothing is lost where the system has no watches left.
func (g *Gateway) watchRequests(ctx context.Context) (done <-chan struct{}) {
	ended := make(chan struct{})
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		close(ended)
		return ended
	}
	watcher.Add(guard.RequestsFolder(g.config.State))
	go func() {
		defer close(ended)
		defer watcher.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case <-watcher.Errors:
			case event := <-watcher.Events:
				if event.Has(fsnotify.Create) {
					g.guard.TakeUp()
				}
			}
		}
	}()
	return ended
}
