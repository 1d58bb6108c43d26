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

	"gate421/gate/files"
)

// keep writes changed counts and takes up requests to resume, once a second and whenever it is woken, until Close.
func (g *Guard) keep() {
	tick, waits := time.NewTicker(time.Second), time.NewTicker(time.Minute)
	defer tick.Stop()
	defer waits.Stop()
	file, requests := false, false // there is trouble with it, which has been reported
	for {
		select {
		case <-g.done:
			return
		case <-g.wake:
		case <-waits.C:
			g.keepWaits()
		case <-tick.C:
			requests = g.report(g.takeUp(), requests)
		case <-g.requested:
			requests = g.report(g.takeUp(), requests)
		}
		file = g.report(g.write(), file)
	}
}

// report reports trouble unless it has been reported, and says whether there is any.
func (g *Guard) report(err error, reported bool) bool {
	if err != nil && !reported {
		g.config.OnEvent(Event{What: "trouble", Error: err.Error()})
	}
	return err != nil
}

// write writes the counts if they have changed, one writer at a time: what is newer is written later.
func (g *Guard) write() error {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	if !g.dirty {
		g.mu.Unlock()
		return nil
	}
	text, err := json.MarshalIndent(g.kept(), "", "  ")
	g.dirty = false
	g.mu.Unlock()
	if err == nil {
		err = files.ReplaceBytes(g.file(), 0o600, append(text, '\n'))
	}
	if err != nil {
		g.mu.Lock()
		g.dirty = true
		g.mu.Unlock()
		return fmt.Errorf("guard counts %q: %w", g.file(), err)
	}
	return nil
}

// The resume folder is how a command on the same machine asks a gateway, running or not, to re-arm a site: one empty
// file a site, named after it, which the gateway removes when it takes it up. Every entry is a request; nothing else is
// made there.
const resumeFolder = "resume"

// lockFile is locked, shared, while a gateway runs.
const lockFile = "guard.lock"

func (g *Guard) file() string { return filepath.Join(g.config.Folder, "guard.json") }

func (g *Guard) requests() string { return RequestsFolder(g.config.Folder) }

// RequestsFolder is where a state folder has the requests to resume. Whoever watches it calls TakeUp.
func RequestsFolder(folder string) string { return filepath.Join(folder, resumeFolder) }

// TakeUp has the requests to resume taken up now; otherwise it is done once a second. It does not wait for that.
func (g *Guard) TakeUp() {
	select {
	case g.requested <- struct{}{}:
	default: // it has been asked for already
	}
}

// RequestResume asks the gateway with this state folder to re-arm a site, within a second or so if it runs, else when
// it starts. What it makes belongs to the state folder's owner, whoever asks: the gateway must be able to see and
// remove it. It makes nothing outside the state folder, wherever links in there may lead, because root may be asking.
func RequestResume(folder, site string) error {
	state, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer state.Close()
	owner, err := state.Stat(".")
	if err != nil {
		return err
	}
	if err := state.Mkdir(resumeFolder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	requests, err := state.OpenRoot(resumeFolder)
	if err != nil {
		return err
	}
	defer requests.Close()
	// Also a folder that was there already, which an earlier request may have left to root.
	dir, err := requests.Open(".")
	if err != nil {
		return err
	}
	if err := errors.Join(give(dir, owner), dir.Close()); err != nil {
		return err
	}
	f, err := requests.OpenFile(url.PathEscape(site), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // somebody has asked before
	}
	if err != nil {
		return err
	}
	return errors.Join(give(f, owner), f.Close())
}

// Requested says whether a request to re-arm a site still waits to be taken up.
func Requested(folder, site string) (bool, error) {
	_, err := os.Lstat(filepath.Join(folder, resumeFolder, url.PathEscape(site)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// takeUp re-arms the sites for which somebody has asked. A request is removed first: one that cannot be is not obeyed,
// since it would re-arm its site for ever.
func (g *Guard) takeUp() error {
	entries, err := os.ReadDir(g.requests())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("guard requests to resume: %w", err)
	}
	var problems []error
	for _, entry := range entries {
		if err := os.Remove(filepath.Join(g.requests(), entry.Name())); err != nil {
			problems = append(problems, fmt.Errorf("guard request to resume: %w", err))
			continue
		}
		if site, err := url.PathUnescape(entry.Name()); err == nil {
			g.Resume(site)
		}
	}
	return errors.Join(problems...)
}

// Kept reads the counts of a state folder without counting, by site and crawler. There are none where no gateway has
// counted yet.
func Kept(folder string) ([]Status, error) {
	g := &Guard{config: Config{Folder: folder, Now: time.Now}, counts: map[key]*count{}}
	if err := g.load(); err != nil {
		return nil, err
	}
	return g.list(g.counts), nil
}
