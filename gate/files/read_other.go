//go:build !unix

package files

import "os"

func openToRead(path string) (*os.File, error) { return os.Open(path) }
