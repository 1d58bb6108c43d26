package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gate421/certs"
	"gate421/gate/config"
	"gate421/gate/origin"
)

type checkCommand struct {
	configFile
	Live bool `help:"Also try it out: do the names lead here, are the ports free, does the origin answer, are there certificates, does the resolver work?"`
}

// Help is shown by check --help.
func (checkCommand) Help() string {
	return `Prints every problem with its line, and what to write instead. Exit 0 if the file is in order
and the certificates, authorities and folders that it names are there for the user who runs this. Nothing is changed.
With --live it also looks at this machine and its surroundings; run it where the gateway runs, or will.`
}

// Run says all that is wrong at once.
func (c *checkCommand) Run(w *world) error {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	problems := unwritable(loaded)
	if !c.Live { // which says the same of the others among its findings
		problems = append(problems, unopened(w.ctx, loaded)...)
	}
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b config.Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return problems
	}
	for _, note := range append(loaded.Notes(), unsafe(loaded)...) {
		fmt.Fprintf(w.stdout, "%s %s\n", paint(w.stdout, "note", "note:"), note)
	}
	fmt.Fprintf(w.stdout, "%s: no problems; %s: %s\n", loaded.File, count(len(loaded.Sites), "site"), siteNames(loaded))
	if !c.Live {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	failed := 0
	for _, f := range inspect(ctx, loaded) {
		mark := paint(w.stdout, "ok", "ok    ")
		switch {
		case f.bad:
			mark = paint(w.stdout, "bad", "failed")
			failed++
		case f.hint != "":
			mark = paint(w.stdout, "note", "note  ")
		}
		fmt.Fprintf(w.stdout, "%s %s\n", mark, f.what)
		if f.hint != "" {
			fmt.Fprintf(w.stdout, "       hint: %s\n", f.hint)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the live checks failed", failed)
	}
	return nil
}

// What to do about files that a configuration names and that are not to be had.
const (
	acmeHint         = "correct what certificates says, and let the user that gate421 runs as read the files it names"
	certificatesHint = "correct certificates.files, and let the user that gate421 runs as read what they name"
	originHint       = "correct the path in the configuration, or make the file or folder readable"
)

// unopened lists what a gateway could not open of the files that a configuration names. It changes nothing.
func unopened(ctx context.Context, c *config.Config) config.Problems {
	var problems config.Problems
	if c.Certificates.Source == certs.SourceFiles {
		if opened, err := certs.Open(ctx, wantedCertificates(c)); err == nil {
			opened.Close()
		} else {
			for line := range strings.SplitSeq(err.Error(), "\n") { // one a problem
				problems = append(problems, c.AtMentioned(config.Problem{Message: line, Hint: certificatesHint}))
			}
		}
	}
	if err := certs.Check(wantedCertificates(c)); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			problems = append(problems, c.AtMentioned(config.Problem{Message: line, Hint: acmeHint}))
		}
	}
	for _, s := range c.Sites {
		o, err := originOf(s, s.Origin, c.Limits, nil, nil)
		if err != nil {
			at := config.Problem{Message: err.Error(), Hint: originHint} // the site's name stands in the file, too
			at = c.AtMentioned(at)
			at.Message = fmt.Sprintf("site %q: %v", s.Hosts[0], err)
			problems = append(problems, at)
			continue
		}
		o.Close()
	}
	return problems
}

// originOf prepares some or all of a site's own servers; onHealth is as in origin.Config.
func originOf(s config.Site, servers []string, limits config.Limits, onHealth func(origin.Health), files *origin.Files) (*origin.Origin, error) {
	t := s.OriginTLS
	return origin.New(origin.Config{
		Servers: servers, ServerName: t.ServerName, CA: t.CA, InsecureSkipVerify: t.InsecureSkipVerify,
		ClientCert: t.ClientCert, ClientKey: t.ClientKey, Wait: cmp.Or(s.OriginTime, limits.OriginTime),
		StallTime: limits.StallTime, StallBytes: limits.StallBytes, OnHealth: onHealth, Files: files,
	})
}

// wantedCertificates is what a gateway asks certs for, but for the listeners.
func wantedCertificates(c *config.Config) certs.Config {
	kept := c.Certificates
	wanted := certs.Config{Source: kept.Source, Email: kept.Email, UnknownHost: kept.UnknownHost, Storage: kept.Storage, Folder: c.State}
	for _, ca := range kept.CAs {
		wanted.CAs = append(wanted.CAs, certs.CA(ca))
	}
	if d := kept.DNS; d != nil {
		wanted.DNS = &certs.DNS{
			Provider: d.Provider, Server: d.Server, KeyName: d.KeyName, KeyAlgorithm: d.KeyAlgorithm, KeyFile: d.KeyFile, AccountFile: d.AccountFile,
			TokenFile: d.TokenFile, DelegatedTo: d.DelegatedTo, Resolvers: d.Resolvers, Propagation: d.Propagation,
		}
		if d.Propagation == 0 {
			wanted.DNS.Propagation = -1 // not waited for
		}
	}
	for _, s := range c.Sites {
		wanted.Hosts = append(wanted.Hosts, s.Hosts...)
	}
	for _, pair := range c.Certificates.Files {
		wanted.Files = append(wanted.Files, certs.Pair{Cert: pair.Cert, Key: pair.Key})
	}
	return wanted
}

func siteNames(c *config.Config) string {
	var names []string
	for _, s := range c.Sites {
		names = append(names, fmt.Sprintf("%s (%s)", s.Hosts[0], s.HTTP2Crawl))
	}
	return strings.Join(names, ", ")
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
