// Package check answers one question: would a gateway with this configuration run here, and what would it lack?
//
// It tries the parts as a gateway would, and changes nothing. What stands in the file is looked at wherever it is:
// places that cannot be written ([Unwritable]) or opened ([Unopened]), folders that root would not trust ([Unsafe]).
// [Live] looks at this machine and its surroundings, too: sockets, names, origins, certificates, the resolver.
package check

import (
	"context"
	"fmt"
	"strings"

	"gate421/certs"
	"gate421/gate/config"
	"gate421/gate/origin"
	"gate421/gate/server"
)

// What to do about files that a configuration names and that are not to be had.
const (
	certificatesHint = "correct certificates.files, and let the user that gate421 runs as read what they name"
	originHint       = "correct the path in the configuration, or make the file or folder readable"
)

// Unopened lists what a gateway could not open of the files that a configuration names. It changes nothing.
func Unopened(ctx context.Context, c *config.Config) config.Problems {
	var problems config.Problems
	if c.Certificates.Source == certs.SourceFiles {
		if opened, err := certs.Open(ctx, server.CertificatesConfig(c)); err == nil {
			opened.Close()
		} else {
			for line := range strings.SplitSeq(err.Error(), "\n") { // one a problem
				problems = append(problems, c.AtMentioned(config.Problem{Message: line, Hint: certificatesHint}))
			}
		}
	}
	if err := certs.Check(server.CertificatesConfig(c)); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			problems = append(problems, c.AtMentioned(config.Problem{Message: line, Hint: server.ACMEHint}))
		}
	}
	for _, s := range c.Sites {
		o, err := origin.New(server.OriginConfig(s, s.Origin, c.Limits))
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
