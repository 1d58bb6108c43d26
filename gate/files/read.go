package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrTooLarge says that a file has more bytes than its reader takes.
var ErrTooLarge = errors.New("is too large")

// Read reads a regular file of at most so many bytes. A pipe that nobody writes to, a device without an end or a file
// of gigabytes under its name is said, and not waited for. Links are followed. An error is an *fs.PathError that names
// the path; it wraps ErrTooLarge where there is more.
func Read(path string, most int64) ([]byte, error) {
	f, err := openToRead(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New(kind(info.Mode()))}
	}
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(content)) > most {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: more than %d KiB", ErrTooLarge, most>>10)}
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}

// kind says what it is that is no regular file.
func kind(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "is a folder, not a file"
	case mode&os.ModeNamedPipe != 0:
		return "is a pipe, not a file"
	case mode&os.ModeSocket != 0:
		return "is a socket, not a file"
	case mode&os.ModeDevice != 0:
		return "is a device, not a file"
	}
	return "is not a regular file"
}
