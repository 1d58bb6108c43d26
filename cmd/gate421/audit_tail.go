package main

import (
	"errors"
	"time"

	"gate421/gate/report/logs"
)

type auditTail struct {
	filterFlags
	choiceFlags
	Lines  int    `short:"n" name:"lines" default:"10" placeholder:"N" help:"How many of the last records to begin with (default: ${default})."`
	Follow bool   `short:"f" default:"true" negatable:"" help:"Then print each new one as it comes, until Ctrl-C; --no-follow stops at the end of the file."`
	File   string `arg:"" optional:"" name:"FILE" help:"The decision log (default: that of the configuration)."`
}

// Help is shown by audit tail --help.
func (auditTail) Help() string {
	return `It stays with the log by its name: when the file is rotated, it goes on with the new one. Beside requests it prints what
else is in the log, such as changed rules and what the guard did, unless a flag asks for requests only.`
}

// Run prints until the end of the file or, when it follows, until its context ends.
func (a *auditTail) Run(env *environment) error {
	q, err := a.query(time.Now())
	if err != nil {
		return err
	}
	choice, err := a.choice()
	if err != nil {
		return err
	}
	if err := a.checkSite(&q); err != nil {
		return err
	}
	choice.Events = true
	var named []string
	if a.File != "" {
		named = []string{a.File}
	}
	paths, err := a.logs(named)
	if err != nil {
		return err
	}
	if paths[0] == "-" {
		return usageError(errors.New("standard input has no end to begin at: gate421 audit show - prints all of it"))
	}
	if a.Lines < 0 {
		return usageError(errors.New("--lines cannot be less than 0"))
	}
	tail := logs.Tail{Path: paths[0], Last: a.Lines, Follow: a.Follow, Query: q, Choice: choice}
	return logHint(tail.Run(env.ctx, func(line []byte) error { return printRecord(env.stdout, line, a.JSON) }))
}
