// Package hint answers one question: what does an operator read when something failed, and what is the cure?
//
// An error is one line, "gate421: what went wrong", and where the cure is known a second one, "hint: …". Code that
// makes an error and knows the cure adds it with [Add]; code that prints an error prints its [Message].
package hint

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"gate421/gate/config"
)

// Error is an error with its cure.
type Error struct {
	Err  error
	Hint string // one line without "hint: "; "" if the cure is unknown
}

// Error gives the message without the hint.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Add adds a cure to an error that is not nil.
func Add(err error, format string, args ...any) error {
	return &Error{Err: err, Hint: fmt.Sprintf(format, args...)}
}

// Of is the outermost cure that was added to an error; "" if none was.
func Of(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// Message is an error as the user reads it. Problems of a configuration are listed, each with its place and its own
// hint.
func Message(err error) string {
	var problems config.Problems
	if errors.As(err, &problems) {
		return fmt.Sprintf("gate421: the configuration has %s\n%s", Count(len(problems), "problem"), problems.Error())
	}
	text := "gate421: " + strings.TrimPrefix(err.Error(), "gate421: ")
	if cure := Of(err); cure != "" {
		text += "\nhint: " + cure
	}
	return text
}

// Cause strips the operation and the path or address that the system puts before its errors; our messages have them.
func Cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err
}

// Count is a number of things: "1 problem", "2 problems".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// ShellWord is a text as a shell takes it for one word, for the commands that hints name.
func ShellWord(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,"
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
