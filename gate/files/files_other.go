//go:build !unix

package files

import (
	"io/fs"
	"os"
	"path/filepath"
)

func open(path string, flag int, mode fs.FileMode) (*os.File, string, error) {
	f, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path
	}
	return f, real, nil
}

func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if os.IsNotExist(err) {
		return path, nil
	}
	return real, err
}

func folder(path string) (bool, error) {
	_, err := os.Stat(path)
	return false, err
}
