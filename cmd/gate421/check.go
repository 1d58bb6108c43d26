package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gate421/cmd/gate421/terminal"
	"gate421/gate/check"
	"gate421/gate/config"
	"gate421/gate/hint"
)

type checkCommand struct {
	configFile
	Live bool `help:"Also try it out: do the names lead here, are the ports free, does the origin answer, are there certificates, does the resolver work?"`
}

// Help is shown by check --help.
func (checkCommand) Help() string {
	return `Prints every problem with its line, and what to write instead. Exit 0 if the file is in order
and the certificates, authorities and folders that it names are there for the user who runs this. Nothing is changed.
With --live it also looks at this machine and its surroundings; run it where the gateway runs, or will.`
}

// Run prints all problems at once.
func (c *checkCommand) Run(env *environment) error {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	problems := check.Unwritable(loaded)
	if !c.Live { // whose findings have the same
		problems = append(problems, check.Unopened(env.ctx, loaded)...)
	}
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b config.Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return problems
	}
	for _, note := range append(loaded.Notes(), check.Unsafe(loaded)...) {
		fmt.Fprintf(env.stdout, "%s %s\n", terminal.Paint(env.stdout, "note", "note:"), note)
	}
	fmt.Fprintf(env.stdout, "%s: no problems; %s: %s\n", loaded.File, hint.Count(len(loaded.Sites), "site"),
		siteNames(loaded))
	if !c.Live {
		return nil
	}
	ctx, cancel := context.WithTimeout(env.ctx, time.Minute)
	defer cancel()
	failed := 0
	for _, f := range check.Live(ctx, loaded) {
		mark := terminal.Paint(env.stdout, "ok", "ok    ")
		switch {
		case f.Bad:
			mark = terminal.Paint(env.stdout, "bad", "failed")
			failed++
		case f.Hint != "":
			mark = terminal.Paint(env.stdout, "note", "note  ")
		}
		fmt.Fprintf(env.stdout, "%s %s\n", mark, f.What)
		if f.Hint != "" {
			fmt.Fprintf(env.stdout, "       hint: %s\n", f.Hint)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the live checks failed", failed)
	}
	return nil
}

func siteNames(c *config.Config) string {
	var names []string
	for _, s := range c.Sites {
		names = append(names, fmt.Sprintf("%s (%s)", s.Hosts[0], s.HTTP2Crawl))
	}
	return strings.Join(names, ", ")
}
