package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gate421/cmd/gate421/terminal"
	"gate421/gate/config"
	"gate421/gate/visible"
	"gate421/verify"
)

type verifyCommand struct {
	IP       []string `arg:"" optional:"" name:"IP" help:"Addresses to verify; - reads them from standard input, one a line."`
	Crawler  string   `default:"googlebot" placeholder:"NAME" help:"The crawler they claim to be (default: ${default}); --list shows all."`
	Resolver string   `default:"system" placeholder:"SERVER" help:"The DNS server to ask: system, an address such as 192.0.2.53:53, or tls://192.0.2.53:853#dns.example."`
	JSON     bool     `name:"json" help:"One JSON object a line."`
	List     bool     `help:"List the crawlers that can be verified."`
}

// Help is shown by verify --help.
func (verifyCommand) Help() string {
	return `An address is genuine if its reverse name belongs to the crawler and that very name leads back to the address.
Impostor means that the DNS denies it; unknown that the DNS did not answer properly, so that nothing is proven.
Exit 0 only if all addresses are genuine.`
}

// Run verifies each address and fails unless all are genuine.
func (v *verifyCommand) Run(env *environment) error {
	if v.List {
		return v.list(env)
	}
	if !slices.Contains(crawlerNames(), v.Crawler) {
		return badUsage(fmt.Errorf("--crawler: no crawler is known as %q", v.Crawler),
			"%s (gate421 verify --list says more of each)", config.CrawlerHint(v.Crawler, crawlerNames()))
	}
	resolver, err := verify.ParseResolver(v.Resolver)
	if err != nil {
		return badUsage(err, "write --resolver 192.0.2.53:53 with the address of your DNS server")
	}
	addresses, err := v.addresses(env)
	if err != nil {
		return err
	}
	ranges, err := verify.PublishedRanges()
	if err != nil {
		return err
	}
	verifier := &verify.Verifier{Resolver: resolver}
	defer verifier.Close()
	others, done := 0, 0
	for row := range v.lookups(env.ctx, verifier, ranges, addresses) {
		if terminal.Interactive(env.stderr) && len(addresses) > 1 {
			done++
			fmt.Fprintf(env.stderr, "\r%d of %d\r", done, len(addresses))
		}
		if row.Verdict != verify.Genuine.String() {
			others++
		}
		if err := row.print(env, v.JSON); err != nil {
			return err
		}
	}
	if env.ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if others > 0 {
		return reportedError{}
	}
	return nil
}

// lookups verifies up to 16 addresses at a time and yields them in the order in which they were given.
func (v *verifyCommand) lookups(ctx context.Context, verifier *verify.Verifier, ranges *verify.Ranges,
	addresses []netip.Addr) iter.Seq[verified] {
	return func(yield func(verified) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		rows := make(chan chan verified, 16)
		go func() {
			defer close(rows)
			for _, addr := range addresses {
				row := make(chan verified, 1)
				select {
				case rows <- row:
				case <-ctx.Done():
					return
				}
				go func() { row <- v.lookup(ctx, verifier, ranges, addr) }()
			}
		}()
		for row := range rows {
			if !yield(<-row) {
				return
			}
		}
	}
}

func (v *verifyCommand) lookup(ctx context.Context, verifier *verify.Verifier, ranges *verify.Ranges,
	addr netip.Addr) verified {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	result := verifier.Lookup(ctx, v.Crawler, addr)
	row := verified{
		IP: addr.String(), Crawler: v.Crawler, Verdict: result.Verdict.String(), Cause: result.Cause, PTR: result.Names,
		Seconds: result.Took.Seconds(), Confirmed: result.PTR, Server: result.Server, Detail: result.Detail,
	}
	for _, f := range result.Forward {
		row.Forward = append(row.Forward, f.String())
	}
	if prefix, published := ranges.Find(addr); published {
		row.Published = prefix.String()
	}
	return row
}

// verified is the output for one address.
type verified struct {
	IP        string   `json:"ip"`
	Crawler   string   `json:"crawler"`
	Verdict   string   `json:"verdict"`
	Cause     string   `json:"cause,omitempty"`
	Server    string   `json:"server,omitempty"` // that the cause is about
	Detail    string   `json:"detail,omitempty"`
	PTR       []string `json:"ptr,omitempty"`
	Confirmed string   `json:"-"`
	Forward   []string `json:"forward,omitempty"`
	Published string   `json:"published,omitempty"`
	Seconds   float64  `json:"seconds"`
}

func (v verified) print(env *environment, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(env.stdout).Encode(v)
	}
	verdict := v.Verdict
	if v.Cause != "" {
		verdict += " (" + visible.Text(v.Cause) + ")"
	}
	fmt.Fprintf(env.stdout, "%s is %s\n", v.IP, terminal.Paint(env.stdout, v.Verdict, verdict))
	if v.Server != "" {
		said := ""
		if v.Detail != "" {
			said = ": " + visible.Text(v.Detail)
		}
		fmt.Fprintf(env.stdout, "  DNS server       %s%s\n", visible.Text(v.Server), said)
	}
	names := "none"
	if len(v.PTR) > 0 {
		names = visible.Text(strings.Join(v.PTR, ", "))
	}
	fmt.Fprintf(env.stdout, "  reverse name     %s\n", names)
	if len(v.Forward) > 0 {
		fmt.Fprintf(env.stdout, "  leads back to    %s (from %s)\n", strings.Join(v.Forward, ", "), visible.Text(v.Confirmed))
	}
	published := "not in Google's published list of common crawlers"
	if v.Published != "" {
		published = v.Published + " of Google's published list of common crawlers"
	}
	fmt.Fprintf(env.stdout, "  published range  %s\n  time taken       %.3f s\n", published, v.Seconds)
	return nil
}

func (v *verifyCommand) addresses(env *environment) ([]netip.Addr, error) {
	words := v.IP
	if len(words) == 0 {
		return nil, usageError(errors.New("no address given"))
	}
	if len(words) == 1 && words[0] == "-" {
		words = nil
		scanner := bufio.NewScanner(env.stdin)
		for scanner.Scan() {
			if word := strings.TrimSpace(scanner.Text()); word != "" {
				words = append(words, word)
			}
		}
		if err := scanner.Err(); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
	var out []netip.Addr
	for _, word := range words {
		addr, err := netip.ParseAddr(word)
		if err != nil {
			return nil, badUsage(fmt.Errorf("%q is no IP address", word),
				"addresses look like 66.249.66.1 or 2001:4860:4801:10::1")
		}
		out = append(out, addr.Unmap().WithZone(""))
	}
	return out, nil
}

// listed is one crawler as --list --json shows it.
type listed struct {
	Name   string   `json:"name"`
	Class  string   `json:"class"`
	About  string   `json:"about"`
	Tokens []string `json:"tokens"`
	Names  []string `json:"names"`
}

func (v *verifyCommand) list(env *environment) error {
	if v.JSON {
		list := []listed{}
		for _, crawler := range verify.Catalogue() {
			list = append(list, listed{crawler.Name, crawler.Class, crawler.About, crawler.Tokens, crawler.Names})
		}
		return json.NewEncoder(env.stdout).Encode(list)
	}
	table := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tCLASS\tUSER-AGENT TOKENS\tREVERSE NAMES")
	for _, crawler := range verify.Catalogue() {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", crawler.Name, crawler.Class, strings.Join(crawler.Tokens, ", "),
			strings.Join(crawler.Names, ", "))
	}
	return table.Flush()
}
