package main

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"gate421/gate/hint"
	"gate421/gate/report"
	"gate421/gate/visible"
)

// recordChoice are the flags that pick records out.
type recordChoice struct {
	Reason  string `placeholder:"REASON" help:"Only records with this reason: refused, impostor, log_unavailable, …"`
	Crawler string `placeholder:"NAME" help:"Only those of clients that claim to be this crawler."`
	Client  string `placeholder:"IP" help:"Only those of this address, or of a range such as 66.249.64.0/19."`
	JSON    bool   `name:"json" help:"The lines as they stand in the log."`
}

func (c *recordChoice) choice() (report.Choice, error) {
	if err := c.checkChoice(); err != nil {
		return report.Choice{}, err
	}
	client, err := clientRange(c.Client)
	return report.Choice{Reason: c.Reason, Crawler: c.Crawler, Client: client}, err
}

type auditShow struct {
	recordFilter
	recordChoice
	RequestID string   `name:"request-id" placeholder:"ID" help:"Everything about this one request."`
	Files     []string `arg:"" optional:"" name:"FILE" help:"Decision logs, or - (default: that of the configuration)."`
}

// Help is shown by audit show --help.
func (auditShow) Help() string {
	return `Prints one line a record, in the order of time: when, which page, which protocol, from where, who it claims to be
and whether that is true, what was done and why, the status, and the rule.`
}

// Run prints the records that fit.
func (c *auditShow) Run(w *world) error {
	q, err := c.question(time.Now())
	if err != nil {
		return err
	}
	choice, err := c.choice()
	if err != nil {
		return err
	}
	choice.RequestID = c.RequestID
	known := c.nameSite(&q)
	sources, err := c.sources(w, c.Files)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w.stdout, 64<<10)
	found := 0
	reading, err := report.Select(w.ctx, q, choice, sources, func(line []byte) error {
		found++
		if c.RequestID == "" || c.JSON {
			return printRecord(out, line, c.JSON)
		}
		if found > 1 {
			fmt.Fprintln(out)
		}
		return printFields(out, line)
	})
	if err == nil {
		err = out.Flush()
	}
	sayDamaged(w, reading.Damaged)
	if err == nil && found == 0 {
		err = c.notRead(&q, reading, known)
	}
	if err == nil && found == 0 && c.RequestID != "" {
		return hint.Add(fmt.Errorf("no record has the request id %q", c.RequestID), "is it in an older file, or outside of --since and --until?")
	}
	if err == nil && found == 0 {
		fmt.Fprintln(w.stderr, "gate421: no record fits")
	}
	return err
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
