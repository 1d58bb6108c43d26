package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"gate421/gate/guard"
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
func (c *rulesList) Run(w *world) error {
	loaded, err := c.load()
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
	if c.JSON {
		encoder := json.NewEncoder(w.stdout)
		for _, r := range rows {
			if err := encoder.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SITE\tRULE\tSTATE\t")
	for _, r := range rows {
		note := ""
		if r.BuiltIn {
			note = "built in"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Site, r.Rule, r.State, note)
	}
	return table.Flush()
}

type rulesResume struct {
	configFile
	Host string `arg:"" name:"HOST" help:"A host of the site."`
}

// Run leaves the request in the state folder, where a running gateway finds it within a second.
func (c *rulesResume) Run(w *world) error {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	rules, err := loaded.Policy()
	if err != nil {
		return err
	}
	site := rules.Site(strings.ToLower(c.Host))
	if site == nil {
		return hint(fmt.Errorf("no site of the configuration has the host %q", c.Host), "gate421 rules list shows the sites")
	}
	kept, err := guard.Kept(loaded.State)
	if err != nil {
		return hint(fmt.Errorf("state folder %q: %w", loaded.State, bare(err)), "run as the user that gate421 runs as")
	}
	tripped := false
	for _, s := range kept {
		tripped = tripped || s.Site == site.Name && s.Tripped
	}
	if !tripped {
		return hint(fmt.Errorf("the guard of %s has not tripped: there is nothing to resume", site.Name), "gate421 explain https://%s/ says what is done and why", site.Name)
	}
	if err := guard.RequestResume(loaded.State, site.Name); err != nil {
		return hint(fmt.Errorf("state folder %q: %w", loaded.State, bare(err)), "run as the user that gate421 runs as")
	}
	_, err = fmt.Fprintf(w.stdout, "%s refuses again: within a second if gate421 is running, else from its next start\n", site.Name)
	return errors.Join(err)
}
