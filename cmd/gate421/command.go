package main

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"gate421/gate/config"
	"gate421/gate/hint"
	"gate421/verify"

	"github.com/alecthomas/kong"
)

// Errors go to stderr, see gate/hint. Exit codes: 0 fine, 1 failed, 2 usage.

// environment is what a command has of the process around it.
type environment struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// commands is the command line. Site owners read its texts.
type commands struct {
	Run     runCommand     `cmd:"" help:"Serve: answer for your sites, send a verified Googlebot back to HTTP/1.1, log every decision."`
	Demo    demoCommand    `cmd:"" help:"Show it: a Googlebot, a browser and two impostors visit a gateway on this machine. Needs nothing."`
	Check   checkCommand   `cmd:"" help:"Look a configuration over and say everything that is wrong with it."`
	Explain explainCommand `cmd:"" help:"Say what would be done with a request, by which rule and why."`
	Verify  verifyCommand  `cmd:"" help:"Find out whether addresses belong to a crawler, the way Google documents it."`
	Rules   rulesCommand   `cmd:"" help:"List the rules; resume a site on which the guard has stopped refusing."`
	Audit   auditCommand   `cmd:"" help:"Read the decision log: what became of the crawl, which requests, what is happening now."`
	Trust   trustCommand   `cmd:"" help:"Say how clients are told to trust certificates of the local authority. Changes nothing."`
	Version versionCommand `cmd:"" help:"Print the version of gate421, of Go and the commit it was built from."`
}

// run is the program without the process around it: it returns when the command is done or ctx has ended it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	env := &environment{ctx, stdin, stdout, stderr}
	var grammar commands
	helped := false
	parser, err := kong.New(&grammar,
		kong.Name("gate421"),
		kong.Description("A front server for sites that want Googlebot to crawl over HTTP/1.1: it answers 421 to a "+
			"verified Googlebot over HTTP/2, and to nobody else."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }),
		kong.PostBuild(func(k *kong.Kong) error {
			k.Model.HelpFlag.Help = "Show this text."
			return nil
		}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil {
		return err
	}
	args = normalize(args)
	parsed, err := parser.Parse(args)
	if err != nil && len(args) > 1 && args[len(args)-1] == "help" { // gate421 run help
		parsed, err = parser.Parse(append(args[:len(args)-1:len(args)-1], "--help"))
	}
	if helped {
		return nil
	}
	if err != nil {
		return usageError(err)
	}
	return parsed.Run(env)
}

// normalize turns what people type elsewhere (help, -v, nothing) into this program's own command line.
func normalize(args []string) []string {
	if len(args) == 0 {
		return []string{"--help"}
	}
	switch args[0] {
	case "--version", "-version", "-v", "-V":
		return append([]string{"version"}, args[1:]...)
	case "help", "-help", "-?":
		return append(args[1:len(args):len(args)], "--help")
	}
	return args
}

// usage is an error in what was typed.
type usage struct{ error }

// Unwrap gives the cause.
func (u usage) Unwrap() error { return u.error }

// badUsage is an error in what was typed, with its cure.
func badUsage(err error, format string, args ...any) error {
	return usage{hint.Add(err, format, args...)}
}

func usageError(err error) error {
	return badUsage(err, "gate421 --help lists the commands, gate421 COMMAND --help what each takes")
}

// reportedError is a failure that the command has already printed.
type reportedError struct{ err error }

// Error is empty: there is nothing left to print.
func (reportedError) Error() string { return "" }

// Unwrap gives the failure; nil if it was no error of another package.
func (r reportedError) Unwrap() error { return r.err }

func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(usage)):
		return 2
	}
	return 1
}

// crawlerNames are the crawlers that a configuration may name.
func crawlerNames() []string {
	var names []string
	for _, c := range verify.Catalogue() {
		names = append(names, c.Name)
	}
	return names
}

// configFile is a --config flag. Its default is gate421.yaml in the working folder.
type configFile struct {
	Config string `short:"c" placeholder:"FILE" help:"The configuration (default: gate421.yaml in this folder)."`
}

func (c configFile) path() string {
	if c.Config == "" {
		return "gate421.yaml"
	}
	return c.Config
}

func (c configFile) load() (*config.Config, error) {
	loaded, err := config.Load(c.path(), crawlerNames())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, hint.Add(err, "name the file with --config FILE; deploy/gate421.yaml is an example to begin with")
	case errors.Is(err, fs.ErrPermission):
		return nil, hint.Add(err, "run as the user that may read it, or give that user the right: chown, chmod")
	}
	return loaded, err
}
