package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"syscall"

	"gate421/gate/config"
	"gate421/gate/hint"
	"gate421/gate/server"
)

type runCommand struct {
	configFile
	Host       []string `placeholder:"NAME" help:"Without a file: the site's host name; repeat it for more names of the same site."`
	Origin     string   `placeholder:"URL" help:"Without a file: the site's own server, such as http://127.0.0.1:3000."`
	Email      string   `placeholder:"ADDRESS" help:"Without a file: where the certificate authority may write to."`
	HTTP2Crawl string   `name:"http2-crawl" placeholder:"STATE" help:"Without a file: what a verified crawler gets over HTTP/2: refuse (the default), observe (serve and log) or allow."`
	State      string   `placeholder:"FOLDER" help:"Without a file: where certificates and counters are kept (default: /var/lib/gate421)."`
}

// Help is shown by run --help.
func (runCommand) Help() string {
	return `With a configuration file, or without one in one line:

    gate421 run --config gate421.yaml
    gate421 run --host example.com --origin http://127.0.0.1:3000

It takes over ports 443 and 80, gets certificates by itself, and passes every request on to the site's own server.
To begin carefully, use "observe": nothing is refused, and the log says what would have been.

SIGTERM or Ctrl-C stops it after open requests are done. A change of the configuration file is followed within a second
or so, and at once on SIGHUP, which also opens the log file again. Whatever is wrong with it leaves everything as it is.`
}

// Run serves until the world ends. What goes wrong is said as everything else is, so that a standard error that takes
// nothing does not hold the end up.
func (c *runCommand) Run(w *world) error {
	loaded, err := c.configuration()
	if err != nil {
		return err
	}
	messages := &server.Messages{To: w.stderr}
	defer messages.Flush(server.FlushTimeout)
	if err := c.serve(w, loaded, messages); err != nil {
		fmt.Fprintln(messages, hint.Message(err))
		return silent{err}
	}
	return nil
}

func (c *runCommand) serve(w *world, loaded *config.Config, messages io.Writer) error {
	log.SetOutput(messages) // what a library says of its own accord
	log.SetPrefix("gate421: ")
	log.SetFlags(0)
	for _, note := range loaded.Notes() {
		fmt.Fprintf(messages, "gate421: note: %s\n", note)
	}
	hup, broken := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	// Whoever reads the log from standard output may go away. With somebody listening for the signal, the write fails
	// instead of ending the process, and the log does what it does in all trouble.
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	g, err := server.Open(w.ctx, loaded, forReader(w.stdout), messages)
	if err != nil {
		return err
	}
	g.Announce()
	followed := make(chan struct{})
	ctx, end := context.WithCancel(w.ctx)
	go func() {
		defer close(followed)
		g.Follow(ctx, hup, loaded.File, c.configuration)
	}()
	defer func() { end(); <-followed }()
	return g.Serve(w.ctx)
}

func (c *runCommand) configuration() (*config.Config, error) {
	quick := config.QuickSetup{Hosts: c.Host, Origin: c.Origin, Email: c.Email, HTTP2Crawl: c.HTTP2Crawl, State: c.State}
	if len(c.Host) == 0 && c.Origin == "" && c.Email == "" && c.HTTP2Crawl == "" && c.State == "" {
		loaded, err := c.load()
		if c.Config == "" && errors.Is(err, fs.ErrNotExist) {
			return nil, badUsage(errors.New("nothing to serve: there is no gate421.yaml in this folder"),
				"gate421 run --config FILE, or in one line: gate421 run --host example.com --origin http://127.0.0.1:3000")
		}
		return loaded, err
	}
	if c.Config != "" {
		return nil, usageError(errors.New("--config and the flags of a site exclude each other: write the site into the file"))
	}
	return config.Quick(quick, crawlerNames())
}
