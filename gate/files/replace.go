package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace gives a file new content, all of it or none: it writes to a temporary name beside the file, syncs, renames,
// and syncs the folder, so that whoever reads meanwhile, or after a crash, finds the old content or the new. The file
// has exactly the permissions of mode afterwards. A symbolic link at path is replaced, not followed.
//
// After an error of write, which Replace returns as it is, or any other before the rename, path is untouched and
// nothing of the temporary file is left. A crash may leave it, under path's name with a random ending and ".tmp".
func Replace(path string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(setMode(f, mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncFolder(folder)
	return nil
}

// setMode changes permissions that are not mode already: some file systems allow no change.
func setMode(f *os.File, mode fs.FileMode) error {
	if info, err := f.Stat(); err == nil && info.Mode().Perm() == mode {
		return nil
	}
	return f.Chmod(mode)
}

// ReplaceBytes is Replace with content that is at hand.
func ReplaceBytes(path string, mode fs.FileMode, content []byte) error {
	return Replace(path, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// syncFolder makes a rename survive a crash. An error is not reported: some file systems cannot sync a folder, and the
// rename itself has happened.
func syncFolder(folder string) {
	if f, err := os.Open(folder); err == nil {
		f.Sync()
		f.Close()
	}
}
