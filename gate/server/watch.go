package server

import (
	"context"
	"path/filepath"
	"time"

	"gate421/gate/config"
	"gate421/gate/files"

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

// How long a file has to lie still before it is looked at, and how often it is looked at in any case.
const (
	stillFor  = 100 * time.Millisecond
	lookEvery = time.Second
)

// stirs says when a file may have changed. It watches the folder: editors put a new file into the old one's place, and
// ConfigMaps turn a link. A link further up the path and a file system of another machine are seen by looking now and then.
func stirs(ctx context.Context, file string) <-chan struct{} {
	out := make(chan struct{}, 1)
	if file == "" {
		return out
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil { // the system has no more of them
		watcher = &fsnotify.Watcher{}
	} else {
		watcher.Add(filepath.Dir(file))
		context.AfterFunc(ctx, func() { watcher.Close() })
	}
	go func() {
		still := time.NewTimer(lookEvery)
		defer still.Stop()
		var first time.Time // of the events since the last look
		for {
			select {
			case <-ctx.Done():
				return
			case <-watcher.Errors: // events were lost, and will be looked for
				continue
			case event := <-watcher.Events:
				if event.Has(fsnotify.Write) && filepath.Base(event.Name) != filepath.Base(file) {
					continue
				}
				if first.IsZero() {
					first = time.Now()
				}
				if time.Since(first) < lookEvery {
					still.Reset(stillFor)
				}
				continue
			case <-still.C:
			}
			first = time.Time{}
			select {
			case out <- struct{}{}:
			default:
			}
			still.Reset(lookEvery)
		}
	}()
	return out
}
