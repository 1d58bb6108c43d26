package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"gate421/gate/config"
	"gate421/verify"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// The voice of the program. An error is one line, "gate421: what went wrong", and where the cure is known a second one,
// "hint: …". Both go to stderr. Exit codes: 0 fine, 1 failed, 2 usage.

// world is what a command may touch outside itself.
type world struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// commands is the command line. The texts are read by site owners.
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

// run is the program but for the process around it: it returns when the command is done or ctx has ended it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	w := &world{ctx, stdin, stdout, stderr}
	var grammar commands
	helped := false
	parser, err := kong.New(&grammar,
		kong.Name("gate421"),
		kong.Description("A front server for sites that want Googlebot to crawl over HTTP/1.1: it answers 421 to a verified Googlebot over HTTP/2, and to nobody else."),
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
	args = asMeant(args)
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
	return parsed.Run(w)
}

// asMeant is the command line as people type it elsewhere, in this program's own words.
func asMeant(args []string) []string {
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

// problem is an error with its cure and its exit code.
type problem struct {
	err  error
	hint string
	code int // 0: 1
}

// Error gives the message without the hint.
func (p *problem) Error() string { return p.err.Error() }

// Unwrap gives the cause.
func (p *problem) Unwrap() error { return p.err }

func hint(err error, format string, args ...any) error {
	return &problem{err: err, hint: fmt.Sprintf(format, args...)}
}

func usageError(err error) error {
	text := "gate421 --help lists the commands, gate421 COMMAND --help what each takes"
	return &problem{err: err, hint: text, code: 2}
}

// silent is a failure that the command has already told in its own words.
type silent struct{ err error }

// Error is empty: there is nothing to add.
func (silent) Error() string { return "" }

// Unwrap gives the failure, nil where there is no more of it than its words.
func (s silent) Unwrap() error { return s.err }

func exitCode(err error) int {
	var p *problem
	switch {
	case err == nil:
		return 0
	case errors.As(err, &p) && p.code != 0:
		return p.code
	}
	return 1
}

// message is an error as the user reads it.
func message(err error) string {
	var problems config.Problems
	if errors.As(err, &problems) {
		count := "1 problem"
		if len(problems) > 1 {
			count = fmt.Sprintf("%d problems", len(problems))
		}
		return fmt.Sprintf("gate421: the configuration has %s\n%s", count, problems.Error())
	}
	text := "gate421: " + strings.TrimPrefix(err.Error(), "gate421: ")
	var p *problem
	if errors.As(err, &p) && p.hint != "" {
		text += "\nhint: " + p.hint
	}
	return text
}

// crawlerNames are the names that a configuration may use.
func crawlerNames() []string {
	var names []string
	for _, c := range verify.Catalogue() {
		names = append(names, c.Name)
	}
	return names
}

// configFile is a --config flag. Without it, gate421.yaml in the working folder is meant.
type configFile struct {
	Config string `short:"c" placeholder:"FILE" help:"The configuration (default: gate421.yaml in this folder)."`
}

func (f configFile) path() string {
	if f.Config == "" {
		return "gate421.yaml"
	}
	return f.Config
}

func (f configFile) load() (*config.Config, error) {
	c, err := config.Load(f.path(), crawlerNames())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, hint(err, "name the file with --config FILE; deploy/gate421.yaml is an example to begin with")
	case errors.Is(err, fs.ErrPermission):
		return nil, hint(err, "run as the user that may read it, or give that user the right: chown, chmod")
	}
	return c, err
}

// terminal says whether colour and progress are wanted on w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(f)
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
