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

// Run serves until its context ends. An error goes through the same queue as all messages, so that a blocked standard
// error cannot delay the end.
func (r *runCommand) Run(env *environment) error {
	loaded, err := r.configuration()
	if err != nil {
		return err
	}
	messages := &server.Messages{To: env.stderr}
	defer messages.Flush(server.FlushTimeout)
	if err := r.serve(env, loaded, messages); err != nil {
		fmt.Fprintln(messages, hint.Message(err))
		return reportedError{err}
	}
	return nil
}

func (r *runCommand) serve(env *environment, loaded *config.Config, messages io.Writer) error {
	log.SetOutput(messages) // for libraries that log by themselves
	log.SetPrefix("gate421: ")
	log.SetFlags(0)
	for _, note := range loaded.Notes() {
		fmt.Fprintf(messages, "gate421: note: %s\n", note)
	}
	hup, pipe := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	// The reader of a log on standard output may go away. While SIGPIPE is caught, the write fails instead of ending the
	// process, and the log handles it as any other failed write.
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	g, err := server.Open(env.ctx, loaded, logOutput(env.stdout), messages)
	if err != nil {
		return err
	}
	g.Announce()
	followed := make(chan struct{})
	ctx, cancel := context.WithCancel(env.ctx)
	go func() {
		defer close(followed)
		g.Follow(ctx, hup, loaded.File, r.configuration)
	}()
	defer func() { cancel(); <-followed }()
	return g.Serve(env.ctx)
}

func (r *runCommand) configuration() (*config.Config, error) {
	quick := config.QuickSetup{Hosts: r.Host, Origin: r.Origin, Email: r.Email, HTTP2Crawl: r.HTTP2Crawl, State: r.State}
	if len(r.Host) == 0 && r.Origin == "" && r.Email == "" && r.HTTP2Crawl == "" && r.State == "" {
		loaded, err := r.load()
		if r.Config == "" && errors.Is(err, fs.ErrNotExist) {
			return nil, badUsage(errors.New("nothing to serve: there is no gate421.yaml in this folder"),
				"gate421 run --config FILE, or in one line: gate421 run --host example.com --origin http://127.0.0.1:3000")
		}
		return loaded, err
	}
	if r.Config != "" {
		return nil, usageError(errors.New("--config and the flags of a site exclude each other: write the site into the " +
			"file"))
	}
	return config.Quick(quick, crawlerNames())
}
