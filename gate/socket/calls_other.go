//go:build !unix

package socket

import "errors"

const short = false

// Read, Write and Quiet are for descriptors, which there are none of here.
func Read(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Write is not there.
func Write(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Quiet is not there.
func Quiet(uintptr, []byte) bool { return false }

// CloseWrite is not there.
func CloseWrite(uintptr) error { return errors.ErrUnsupported }
