package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gate421/cmd/gate421/terminal"
	"gate421/gate/files"
	"gate421/gate/hint"
	"gate421/gate/report/analysis"
	"gate421/gate/report/logs"
	"gate421/gate/report/render"
)

type auditReport struct {
	filterFlags
	Format string   `enum:"text,json,html" default:"text" help:"text, json or html (default: ${default})."`
	JSON   bool     `name:"json" help:"The same as --format json."`
	Rows   int      `default:"20" placeholder:"N" help:"How many rows of each list the text shows (default: ${default}); json and html have all."`
	Output string   `short:"o" placeholder:"FILE" help:"Write it to this file."`
	Files  []string `arg:"" optional:"" name:"FILE" help:"Decision logs, or - (default: that of the configuration)."`
}

// Help is shown by audit report --help.
func (auditReport) Help() string {
	return `Says how many crawl requests came over HTTP/2, how many were refused and how many of those pages were then fetched over
HTTP/1.1, how soon; which pages were refused and not fetched since, so that they may leave the index; who pretended to be a
crawler; whose claims could not be proved, and why; and the course of it all beside every change of a rule.`
}

// Run reads the log and writes the report.
func (a *auditReport) Run(env *environment) error {
	q, err := a.query(time.Now())
	if err != nil {
		return err
	}
	if a.Rows < 0 {
		return usageError(errors.New("--rows cannot be less than 0"))
	}
	known := a.nameSite(&q)
	sources, err := a.sources(env, a.Files)
	if err != nil {
		return err
	}
	reader := &logs.Reader{Sources: sources, Query: q}
	if terminal.Interactive(env.stderr) {
		p := &progressLine{out: env.stderr, began: time.Now()}
		reader.OnProgress = p.show
		defer p.clear()
	}
	found, err := analysis.Examine(env.ctx, reader)
	if err != nil {
		return err
	}
	warnDamaged(env, found.Log.Damaged)
	if err := a.notRead(&q, &found.Log, known); err != nil {
		return err
	}
	if a.Output == "" {
		return a.write(env.stdout, found)
	}
	var content bytes.Buffer
	if err := a.write(&content, found); err != nil {
		return err
	}
	if err := replaceFile(a.Output, content.Bytes()); err != nil {
		return fmt.Errorf("report %q: %w", a.Output, hint.Cause(err))
	}
	return nil
}

// write writes the report in its format.
func (a *auditReport) write(out io.Writer, found *analysis.Report) error {
	switch {
	case a.JSON || a.Format == "json":
		return render.JSON(out, found)
	case a.Format == "html":
		return render.HTML(out, found)
	}
	return render.Text(out, found, render.TextOptions{Width: terminal.Width(out), Colour: terminal.Interactive(out),
		Rows: a.Rows})
}

// replaceFile writes a file so that it is there whole or as it was before. A link stays one, and what is no regular
// file, such as a pipe or /dev/stdout, is written to as it is. A link that somebody else may have made is replaced.
func replaceFile(path string, content []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		f, _, err := files.Open(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		return errors.Join(err, f.Close())
	}
	if real, err := files.Resolve(path); err == nil { // or else what is in that place is replaced, and leads nowhere
		path = real
	}
	return files.ReplaceBytes(path, 0o640, content)
}

// progressLine shows on a terminal how far a reading is that takes longer than a second.
type progressLine struct {
	out   io.Writer
	began time.Time
	shown bool
}

func (p *progressLine) show(at logs.Progress) {
	if time.Since(p.began) < time.Second {
		return
	}
	p.shown = true
	if at.Total > 0 {
		fmt.Fprintf(p.out, "\r%d %% read, %d lines\x1b[K", 100*at.Read/at.Total, at.Lines)
		return
	}
	fmt.Fprintf(p.out, "\r%d MiB read, %d lines\x1b[K", at.Read>>20, at.Lines)
}

// clear leaves the terminal as it was.
func (p *progressLine) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
