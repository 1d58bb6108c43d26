package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gate421/gate/config"
	"gate421/gate/files"
	"gate421/gate/hint"
)

// Unsafe lists places where a gateway that root runs would not write, because another user could redirect it. They are
// notes, not problems: for a service with a user of its own they are right.
func Unsafe(c *config.Config) (notes []config.Problem) {
	add := func(value, key string, err error) {
		if cure := files.Cure(err); cure != "" {
			message := key + ": run by root, gate421 would not start: " + err.Error()
			notes = append(notes, c.At(value, config.Problem{Message: message, Hint: cure}))
		}
	}
	_, err := files.Folder(c.State)
	add(c.State, "state", err)
	if c.Log.File != "-" {
		_, err := files.Resolve(c.Log.File)
		add(c.Log.File, "log.file", err)
	}
	return notes
}

const whoRuns = "let the user that gate421 runs as write there, and run check as that user"

// Unwritable lists what a gateway could not write of the places that a configuration names. It changes nothing.
func Unwritable(c *config.Config) config.Problems {
	var problems config.Problems
	add := func(value, cure, format string, args ...any) {
		problems = append(problems, c.At(value, config.Problem{Message: fmt.Sprintf(format, args...), Hint: cure}))
	}
	if what, cure := stateTrouble(c.State); what != "" {
		add(c.State, cure, "state: %q %s", c.State, what)
	}
	if c.Log.File != "-" {
		if what, cure := logTrouble(c.Log.File, c.Log.Rotate != (config.Rotate{})); what != "" {
			add(c.Log.File, cure, "log.file: %q %s", c.Log.File, what)
		}
	}
	return problems
}

// stateTrouble is what is wrong with the state folder; "" if nothing is. A missing one is made at the start.
func stateTrouble(folder string) (what, cure string) {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		there := filepath.Dir(folder)
		for {
			if _, err := os.Stat(there); err == nil || filepath.Dir(there) == there {
				break
			}
			there = filepath.Dir(there)
		}
		if err := mayWrite(there, true); err != nil {
			return fmt.Sprintf("is not there and cannot be made: %q: %v", there, hint.Cause(err)),
				"make the folder and give it to the user that gate421 runs as"
		}
		return "", ""
	case err != nil:
		return hint.Cause(err).Error(), whoRuns
	case !info.IsDir():
		return "is no folder", "name a folder of gate421's own"
	}
	if err := mayWrite(folder, true); err != nil {
		return hint.Cause(err).Error(), whoRuns
	}
	return "", ""
}

// logTrouble is what is wrong with the decision log's path; "" if nothing is. With rotate, files are made beside it.
func logTrouble(file string, rotate bool) (what, cure string) {
	folder := filepath.Dir(file)
	info, err := os.Stat(file)
	switch {
	case err == nil && info.IsDir():
		return "is a folder", "write the file's name, too"
	case err == nil:
		if err := mayWrite(file, false); err != nil {
			return hint.Cause(err).Error(), whoRuns
		}
	case !errors.Is(err, fs.ErrNotExist):
		return hint.Cause(err).Error(), whoRuns
	}
	if rotate = rotate && (err != nil || info.Mode().IsRegular()); err == nil && !rotate {
		return "", ""
	}
	switch info, err := os.Stat(folder); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("cannot be made: the folder %q is missing", folder),
			"make the folder, and let the user that gate421 runs as write there"
	case err != nil:
		return hint.Cause(err).Error(), whoRuns
	case !info.IsDir():
		return fmt.Sprintf("cannot be made: %q is no folder", folder), "name a file in a folder that is there"
	}
	if err := mayWrite(folder, true); err != nil {
		return fmt.Sprintf("in the folder %q: %v", folder, hint.Cause(err)), whoRuns
	}
	return "", ""
}
