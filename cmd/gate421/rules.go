package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gate421/gate/guard"
	"gate421/gate/hint"
)

type rulesCommand struct {
	List   rulesList   `cmd:"" help:"List every site's rules, those built in among them."`
	Resume rulesResume `cmd:"" help:"Let a site refuse again after its guard has tripped."`
}

type rulesList struct {
	configFile
	JSON bool `name:"json" help:"One JSON object a rule."`
}

// Run prints one row a rule.
func (r *rulesList) Run(env *environment) error {
	loaded, err := r.load()
	if err != nil {
		return err
	}
	rules, err := loaded.Policy()
	if err != nil {
		return err
	}
	type row struct {
		Site    string `json:"site"`
		Rule    string `json:"rule"`
		State   string `json:"state"`
		BuiltIn bool   `json:"built_in"`
	}
	var rows []row
	for _, site := range rules.Sites() {
		rows = append(rows, row{site.Name, "http2_crawl", site.State.String(), false})
		for _, rule := range site.Rules() {
			rows = append(rows, row{site.Name, rule.Pattern, rule.State.String(), rule.BuiltIn})
		}
	}
	if r.JSON {
		encoder := json.NewEncoder(env.stdout)
		for _, each := range rows {
			if err := encoder.Encode(each); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SITE\tRULE\tSTATE\t")
	for _, each := range rows {
		note := ""
		if each.BuiltIn {
			note = "built in"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", each.Site, each.Rule, each.State, note)
	}
	return table.Flush()
}

type rulesResume struct {
	configFile
	State string `placeholder:"FOLDER" help:"Without a file: the state folder of the gateway. HOST is then the name of the site, its first host."`
	Host  string `arg:"" name:"HOST" help:"A host of the site."`
}

// Help is shown by rules resume --help.
func (rulesResume) Help() string {
	return `Find out first why the crawler did not come back: pages that only answer 421 leave Google's index.

A running gateway takes the request up within a second or two; if none does, the request is kept for the next start. Run it
as root or as the user that gate421 runs as.`
}

// How long a running gateway may take to see a request, and to write that a guard has tripped. Both are usually
// immediate.
const (
	resumeTimeout = 3 * time.Second
	tripTimeout   = time.Second
)

// Run leaves the request in the state folder and sees whether a running gateway takes it up.
func (r *rulesResume) Run(env *environment) error {
	folder, site, err := r.site()
	if err != nil {
		return err
	}
	failed := func(err error) error {
		return hint.Add(fmt.Errorf("state folder %q: %w", folder, hint.Cause(err)),
			"run as root or as the user that gate421 runs as")
	}
	kept, err := keptTrips(env.ctx, folder, site)
	if err != nil {
		return failed(err)
	}
	counted, tripped := false, false
	for _, s := range kept {
		counted = counted || s.Site == site
		tripped = tripped || s.Site == site && s.Tripped
	}
	if !counted && r.State != "" {
		var names []string
		for _, s := range kept {
			if !slices.Contains(names, s.Site) {
				names = append(names, s.Site)
			}
		}
		return hint.Add(fmt.Errorf("state folder %q: nothing is counted for a site %q", folder, site),
			"name the site by its first host; those counted there: %s", cmp.Or(strings.Join(names, ", "), "none"))
	}
	if !tripped {
		return hint.Add(fmt.Errorf("the guard of %s has not tripped: there is nothing to resume", site),
			"gate421 explain https://%s/ says what is done and why", site)
	}
	if err := guard.RequestResume(folder, site); err != nil {
		return failed(err)
	}
	taken, err := awaitTakeUp(env.ctx, folder, site)
	if err != nil {
		return failed(err)
	}
	if !taken {
		_, err = fmt.Fprintf(env.stdout,
			"the request is kept: %s refuses again when gate421 next starts (no running gateway took it up)\n", site)
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "%s refuses again\n", site)
	return err
}

// site is the site that is meant, and its state folder.
func (r *rulesResume) site() (folder, site string, err error) {
	host := strings.ToLower(r.Host)
	if r.State != "" {
		if r.Config != "" {
			return "", "", usageError(errors.New("--config and --state exclude each other: the file names the state folder"))
		}
		return r.State, host, nil
	}
	loaded, err := r.load()
	if err != nil {
		return "", "", err
	}
	rules, err := loaded.Policy()
	if err != nil {
		return "", "", err
	}
	found := rules.Site(host)
	if found == nil {
		return "", "", hint.Add(fmt.Errorf("no site of the configuration has the host %q", r.Host),
			"gate421 rules list shows the sites")
	}
	return loaded.State, found.Name, nil
}

// keptTrips reads the counts. A running gateway writes a trip a moment after it happened, so for a site on which it has
// counted, one that is not there yet is waited for.
func keptTrips(ctx context.Context, folder, site string) (kept []guard.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		running, known := guard.Running(folder)
		kept, err = guard.Kept(folder)
		counted, tripped := false, false
		for _, s := range kept {
			counted = counted || s.Site == site
			tripped = tripped || s.Site == site && s.Tripped
		}
		if err != nil || tripped || !counted || known && !running {
			return kept, err
		}
		select {
		case <-ctx.Done():
			return kept, nil
		case <-tick.C:
		}
	}
}

// awaitTakeUp waits until a gateway has taken a request up and, so that the next command sees it, has written that. It
// waits for resumeTimeout at most, and not if no gateway runs.
func awaitTakeUp(ctx context.Context, folder, site string) (taken bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, resumeTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		running, known := guard.Running(folder)
		waits, err := guard.Requested(folder, site)
		if err != nil {
			return false, err
		}
		taken = !waits
		if known && !running || taken && !hasTripped(folder, site) {
			return taken, nil
		}
		select {
		case <-ctx.Done():
			return taken, nil
		case <-tick.C:
		}
	}
}

// hasTripped says whether the counts on disk have a trip of a site.
func hasTripped(folder, site string) bool {
	kept, err := guard.Kept(folder)
	return err == nil && slices.ContainsFunc(kept, func(s guard.Status) bool { return s.Site == site && s.Tripped })
}
