package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"gate421/gate/hint"
	"gate421/gate/report/logs"
	"gate421/gate/visible"
)

// choiceFlags are the flags that pick records out.
type choiceFlags struct {
	Reason  string `placeholder:"REASON" help:"Only records with this reason: refused, impostor, log_unavailable, …"`
	Crawler string `placeholder:"NAME" help:"Only those of clients that claim to be this crawler."`
	Client  string `placeholder:"IP" help:"Only those of this address, or of a range such as 66.249.64.0/19."`
	JSON    bool   `name:"json" help:"The lines as they stand in the log."`
}

func (c *choiceFlags) choice() (logs.Choice, error) {
	if err := c.checkChoice(); err != nil {
		return logs.Choice{}, err
	}
	client, err := clientRange(c.Client)
	return logs.Choice{Reason: c.Reason, Crawler: c.Crawler, Client: client}, err
}

type auditShow struct {
	filterFlags
	choiceFlags
	RequestID string   `name:"request-id" placeholder:"ID" help:"Everything about this one request."`
	Files     []string `arg:"" optional:"" name:"FILE" help:"Decision logs, or - (default: that of the configuration)."`
}

// Help is shown by audit show --help.
func (auditShow) Help() string {
	return `Prints one line a record, in the order of time: when, which page, which protocol, from where, who it claims to be
and whether that is true, what was done and why, the status, and the rule.`
}

// Run prints the records that fit.
func (a *auditShow) Run(env *environment) error {
	q, err := a.query(time.Now())
	if err != nil {
		return err
	}
	choice, err := a.choice()
	if err != nil {
		return err
	}
	choice.RequestID = a.RequestID
	known := a.nameSite(&q)
	sources, err := a.sources(env, a.Files)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(env.stdout, 64<<10)
	reader := &logs.Reader{Sources: sources, Query: q}
	found, err := a.print(env.ctx, out, reader, choice)
	if err == nil {
		err = out.Flush()
	}
	warnDamaged(env, reader.Stats().Damaged)
	if err == nil && found == 0 {
		err = a.notRead(&q, reader.Stats(), known)
	}
	if err == nil && found == 0 && a.RequestID != "" {
		return hint.Add(fmt.Errorf("no record has the request id %q", a.RequestID),
			"is it in an older file, or outside of --since and --until?")
	}
	if err == nil && found == 0 {
		fmt.Fprintln(env.stderr, "gate421: no record fits")
	}
	return err
}

// print prints what the reader selects and says how many records that were.
func (a *auditShow) print(ctx context.Context, out io.Writer, reader *logs.Reader,
	choice logs.Choice) (found int, err error) {
	for record, err := range reader.Select(ctx, choice) {
		if err != nil {
			return found, err
		}
		found++
		switch {
		case a.RequestID == "" || a.JSON:
			err = printRecord(out, record.Line(), a.JSON)
		case found > 1:
			fmt.Fprintln(out)
			err = printFields(out, record.Line())
		default:
			err = printFields(out, record.Line())
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// printRecord prints one line of the log as a row, or as it is.
func printRecord(out io.Writer, line []byte, asIs bool) (err error) {
	if asIs {
		_, err = fmt.Fprintf(out, "%s\n", line)
		return err
	}
	_, err = fmt.Fprintln(out, row(membersOf(line)))
	return err
}

// printFields prints a record field by field.
func printFields(out io.Writer, line []byte) (err error) {
	for _, f := range membersOf(line) {
		_, err = fmt.Fprintf(out, "%-15s %s\n", visible.Text(f.name), visible.Text(f.value))
	}
	return err
}
