package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gate421/gate/hint"
	"gate421/gate/policy"
	"gate421/gate/report/logs"
	"gate421/gate/visible"
)

type auditCommand struct {
	Report auditReport `cmd:"" help:"What became of the crawl: refused, come back, not fetched since, impostors, over time."`
	Show   auditShow   `cmd:"" help:"Print the records of requests, or everything about one request."`
	Tail   auditTail   `cmd:"" help:"Print the last records and then each new one as it is written."`
}

// Help is shown by audit --help.
func (auditCommand) Help() string {
	return `They read the decision log of the configuration, or the files that you name: plain, .gz or .zst, each with its rotated
set. Name the logs of several gateways together and come-backs are right across them. - is standard input.`
}

// filterFlags are the flags that say which records are meant.
type filterFlags struct {
	configFile
	Since string `placeholder:"WHEN" help:"Only records from then on: 7d, 36h or 2w ago, a day (2026-11-01, UTC), or a time (2026-11-01T12:00:00Z)."`
	Until string `placeholder:"WHEN" help:"Only records before then."`
	Site  string `placeholder:"HOST" help:"Only those of this site, named by its first host, or by another one where its configuration is at hand."`
	Path  string `placeholder:"PATTERN" help:"Only those of paths that match this pattern, written as in robots.txt: /shop/, /*.pdf$"`
}

// query turns the flags into what is asked of the log.
func (f *filterFlags) query(now time.Time) (q logs.Query, err error) {
	var problems []error
	q.Site, q.Path = strings.ToLower(f.Site), f.Path
	if q.Since, err = parseTime(f.Since, now); err != nil {
		problems = append(problems, fmt.Errorf("--since %w", err))
	}
	if q.Until, err = parseTime(f.Until, now); err != nil {
		problems = append(problems, fmt.Errorf("--until %w", err))
	}
	if len(problems) == 0 && !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		problems = append(problems, errors.New("--since is not before --until: no record can fit"))
	}
	if len(problems) > 0 {
		return q, badUsage(errors.Join(problems...), "write 7d, 36h, 2w, 2026-11-01 or 2026-11-01T12:00:00Z")
	}
	if f.Path != "" {
		if q.Match, err = policy.Matching(f.Path); err != nil {
			return q, badUsage(fmt.Errorf("--path %q %w", f.Path, err),
				"patterns are written as in robots.txt: /shop/, /*.pdf$")
		}
	}
	return q, nil
}

// parseTime is a time, or how long ago it was; zero for "".
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	ago, err := parseDuration(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time nor how long ago it was", text)
	}
	return now.Add(-ago).UTC(), nil
}

// parseDuration reads a duration as Go writes it, with weeks and days before it: 2w, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	parts := regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,5})d)?(.*)$`).FindStringSubmatch(text)
	weeks, _ := strconv.Atoi(parts[1])
	days, _ := strconv.Atoi(parts[2])
	whole := time.Duration(7*weeks+days) * 24 * time.Hour
	if parts[3] == "" && text != "" {
		return whole, nil
	}
	rest, err := time.ParseDuration(parts[3])
	if err == nil && rest < 0 {
		err = errors.New("is negative")
	}
	return whole + rest, err
}

// logs are the files to read: those named, else the one of the configuration.
func (f *filterFlags) logs(named []string) ([]string, error) {
	if len(named) > 0 {
		return named, nil
	}
	loaded, err := f.load()
	if err != nil {
		if f.Config == "" && errors.Is(err, fs.ErrNotExist) {
			return nil, hint.Add(errors.New("which decision log? No file is named, "+
				"and there is no configuration gate421.yaml in this folder"),
				"name the log, - for standard input, or the configuration with --config FILE")
		}
		return nil, err
	}
	if loaded.Log.File == "-" {
		return nil, hint.Add(fmt.Errorf("%s: log: file: is %q: the decision log goes to standard output, "+
			"and nobody but you knows where it is kept", loaded.File, "-"),
			"name the file, or pipe it in: … | gate421 audit report -")
	}
	return []string{loaded.Log.File}, nil
}

// sources opens the logs.
func (f *filterFlags) sources(env *environment, named []string) ([]*logs.Source, error) {
	paths, err := f.logs(named)
	if err != nil {
		return nil, err
	}
	sources, err := logs.Open(paths, env.stdin)
	return sources, logHint(err)
}

// logHint adds what to do about a log that cannot be opened.
func logHint(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hint.Add(err, "the configuration says where the log is: log: file:; "+
			"a relative path begins in the folder that gate421 runs in")
	case errors.Is(err, fs.ErrPermission):
		return hint.Add(err, "run as root, or as a user of the group that may read the log")
	}
	return err
}

// warnDamaged names the files that could not be read to their end. What was read of them counts.
func warnDamaged(env *environment, damaged []string) {
	for _, d := range damaged {
		fmt.Fprintf(env.stderr, "gate421: not read to its end: %s\n", visible.Text(d))
	}
}

// clientRange is an address or a range of addresses; the invalid one for "".
func clientRange(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, badUsage(fmt.Errorf("--client %q is no address and no range of addresses", text),
			"write 66.249.66.1 or 66.249.64.0/19")
	}
	ip = ip.Unmap().WithZone("")
	return netip.PrefixFrom(ip, ip.BitLen()), nil
}
