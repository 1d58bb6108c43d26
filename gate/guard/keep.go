package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

// Kept reads the counts of a state folder without counting, by site name. There are none where no gateway has counted yet.
func Kept(folder string) ([]Status, error) {
	g := &Guard{config: Config{Folder: folder}, counts: map[string]*count{}}
	if err := g.load(); err != nil {
		return nil, err
	}
	return list(g.counts), nil
}

// load reads the file. A missing one is a fresh start.
func (g *Guard) load() error {
	text, err := os.ReadFile(g.file())
	if err == nil {
		err = json.Unmarshal(text, &g.counts)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("guard counts %q: %w", g.file(), err)
	}
	for site, n := range g.counts {
		if n == nil {
			delete(g.counts, site)
		}
	}
	return nil
}
