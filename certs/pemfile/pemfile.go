// Package pemfile answers one question: what does this certificate or key file hold, and who else can read it?
//
// Nothing it says repeats what is in a file.
package pemfile

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// MaxSize is how many bytes a certificate or key file may have.
const MaxSize = 1 << 20

// Read reads a PEM file and makes sure that it has a block whose type ends in kind, such as "PRIVATE KEY". It reads
// regular files of at most MaxSize bytes. Its errors do not name the path.
func Read(path, kind string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, WithoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, WithoutPath(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return nil, WithoutPath(err)
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("larger than %d bytes", MaxSize)
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("holds no PEM block of type %q", kind)
		}
		if strings.HasPrefix(block.Type, "ENCRYPTED ") || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("it is encrypted; a server needs it in the clear")
		}
		if strings.HasSuffix(block.Type, kind) {
			return data, nil
		}
	}
}

// OpenToAll says so in plain words if everybody on this machine can read the private key in a file, and is "" if not. A
// group may read it: that is how servers share keys. On Windows, whose modes say nothing about that, it is always "".
func OpenToAll(path string, info os.FileInfo) string {
	if info.Mode().Perm()&0o004 == 0 || runtime.GOOS == "windows" {
		return ""
	}
	return fmt.Sprintf("key %q: everybody on this machine can read it (mode %04o); try chmod 640", path,
		info.Mode().Perm())
}

// WithoutPath takes the path off a file's error, for messages that begin with it.
func WithoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
