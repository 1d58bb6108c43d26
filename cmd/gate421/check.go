package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gate421/gate/config"
)

type checkCommand struct {
	configFile
	Live bool `help:"Also try it out: do the names lead here, are the ports free, does the origin answer, are there certificates, does the resolver work?"`
}

// Help is shown by check --help.
func (checkCommand) Help() string {
	return `Prints every problem with its line, and what to write instead. Exit 0 if a gateway would start with this file.
With --live it also looks at this machine and its surroundings; run it where the gateway will run, while it does not.`
}

// Run says all that is wrong at once.
func (c *checkCommand) Run(w *world) error {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	for _, note := range loaded.Notes() {
		fmt.Fprintf(w.stdout, "%s %s\n", paint(w.stdout, "note", "note:"), note)
	}
	fmt.Fprintf(w.stdout, "%s: no problems; %s: %s\n", loaded.File, count(len(loaded.Sites), "site"), siteNames(loaded))
	if !c.Live {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	failed := 0
	for _, f := range inspect(ctx, loaded) {
		mark := paint(w.stdout, "ok", "ok    ")
		switch {
		case f.bad:
			mark = paint(w.stdout, "bad", "failed")
			failed++
		case f.hint != "":
			mark = paint(w.stdout, "note", "note  ")
		}
		fmt.Fprintf(w.stdout, "%s %s\n", mark, f.what)
		if f.hint != "" {
			fmt.Fprintf(w.stdout, "       hint: %s\n", f.hint)
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

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
