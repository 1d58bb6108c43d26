package main

import (
	"fmt"
	"slices"
	"strings"

	"gate421/gate"
	"gate421/gate/config"
	"gate421/gate/hint"
	"gate421/gate/policy"
	"gate421/gate/report/logs"
)

// configured is the configuration, if one is at hand: it tells which site a host belongs to. nil: there is none, or it
// cannot be read, which does not matter to somebody who reads a log.
func (f *filterFlags) configured() *config.Config {
	c, err := f.load()
	if err != nil {
		return nil
	}
	return c
}

// nameSite turns a host into the name of the site that serves it, where a configuration is at hand.
func (f *filterFlags) nameSite(q *logs.Query) (known bool) {
	c := f.configured()
	if q.Site == "" || c == nil {
		return false
	}
	rules, err := c.Policy()
	if err != nil {
		return false
	}
	site := rules.Site(q.Site)
	if site == nil {
		return false
	}
	q.Site = site.Name
	return true
}

// notRead is the error for logs that hold nothing of what was asked for and never could; nil where an empty answer is
// one. known says that the site stands in the configuration.
func (f *filterFlags) notRead(q *logs.Query, read *logs.Stats, known bool) error {
	if read.Lines > 0 && read.Recognized() == 0 {
		return hint.Add(fmt.Errorf("no line of %s is one of a decision log", strings.Join(quoted(read.Files, 3), ", ")),
			"the configuration says where the decision log is: log: file:; "+
				"with \"-\" it is what gate421 writes to standard output")
	}
	if q.Site == "" || read.SiteSeen || known || read.Recognized() == 0 {
		return nil
	}
	err := fmt.Errorf("--site %q: no line of the log is of this site", f.Site)
	switch near := config.Nearest(q.Site, read.OtherSites); {
	case read.SiteOfHost != "":
		return badUsage(err, "it is a host of the site %s: --site %s", read.SiteOfHost, read.SiteOfHost)
	case near != "":
		return badUsage(err, "did you mean --site %s?", near)
	case len(read.OtherSites) > 0:
		return badUsage(err, "the sites in the log are %s", strings.Join(firstOf(read.OtherSites, 10), ", "))
	}
	return badUsage(err, "the log names no site at all")
}

// checkSite looks for a site in the configuration alone: nothing is read to its end.
func (f *filterFlags) checkSite(q *logs.Query) error {
	if q.Site == "" || f.nameSite(q) {
		return nil
	}
	c := f.configured()
	if c == nil {
		return nil
	}
	var names []string
	for _, s := range c.Sites {
		names = append(names, s.Hosts[0])
	}
	return unknownValue("--site", f.Site, names)
}

// checkChoice rejects what no record can have.
func (c *choiceFlags) checkChoice() error {
	var reasons []string
	for _, r := range policy.Reasons() {
		reasons = append(reasons, string(r))
	}
	reasons = append(reasons, gate.PlainHTTP)
	c.Crawler = strings.ToLower(c.Crawler)
	var problems []error
	if c.Reason != "" && !slices.Contains(reasons, c.Reason) {
		problems = append(problems, unknownValue("--reason", c.Reason, reasons))
	}
	if names := crawlerNames(); c.Crawler != "" && !slices.Contains(names, c.Crawler) {
		problems = append(problems, unknownValue("--crawler", c.Crawler, names))
	}
	if len(problems) > 0 {
		return problems[0]
	}
	return nil
}

// unknownValue is the error for a value of a flag that can match nothing.
func unknownValue(flag, value string, known []string) error {
	err := fmt.Errorf("%s %q matches no record there can be", flag, value)
	if near := config.Nearest(value, known); near != "" {
		return badUsage(err, "did you mean %s %s?", flag, near)
	}
	return badUsage(err, "there are %s", strings.Join(firstOf(known, 20), ", "))
}

// firstOf are the first words of a list, and how many more there are.
func firstOf(words []string, most int) []string {
	if len(words) <= most {
		return words
	}
	return append(slices.Clone(words[:most]), fmt.Sprintf("and %d more", len(words)-most))
}

func quoted(words []string, most int) []string {
	var out []string
	for _, w := range words[:min(most, len(words))] {
		out = append(out, fmt.Sprintf("%q", w))
	}
	if len(words) > most {
		out = append(out, fmt.Sprintf("and %d more", len(words)-most))
	}
	return out
}
