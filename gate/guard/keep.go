package guard

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// keep writes changed counts and takes up requests to resume, once a second until Close.
func (g *Guard) keep() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := false
	for {
		select {
		case <-g.done:
			return
		case <-tick.C:
		}
		g.takeUp()
		g.mu.Lock()
		var err error
		if g.dirty {
			err = g.save()
		}
		g.mu.Unlock()
		if err != nil && !told {
			g.trouble(err)
		}
		told = err != nil
	}
}

// save writes the counts to a temporary name, syncs and renames. The caller holds mu.
func (g *Guard) save() error {
	if g.config.Folder == "" {
		return nil
	}
	g.dirty = true
	text, err := json.MarshalIndent(g.counts, "", "  ")
	if err != nil {
		return fmt.Errorf("guard counts: %w", err)
	}
	if err := replace(g.file(), append(text, '\n')); err != nil {
		return fmt.Errorf("guard counts %q: %w", g.file(), err)
	}
	g.dirty = false
	return nil
}

func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if the rename worked
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// The resume folder is how a command on the same machine asks a gateway, running or not, to re-arm a site: one empty file
// a site, named after it, which the gateway removes when it has done so.
const resumeFolder = "resume"

// RequestResume asks the gateway with this state folder to re-arm a site, now if it runs, else when it starts.
func RequestResume(folder, site string) error {
	dir := filepath.Join(folder, resumeFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return replace(filepath.Join(dir, url.PathEscape(site)), nil)
}

func (g *Guard) takeUp() {
	dir := filepath.Join(g.config.Folder, resumeFolder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // there is no such folder until somebody asks
	}
	for _, entry := range entries {
		if site, err := url.PathUnescape(entry.Name()); err == nil {
			g.Resume(site)
		}
		os.Remove(filepath.Join(dir, entry.Name()))
	}
}
