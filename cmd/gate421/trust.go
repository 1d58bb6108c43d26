package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"

	"gate421/certs"
	"gate421/gate/hint"
)

type trustCommand struct {
	configFile
	State string `placeholder:"FOLDER" help:"Without a file: the state folder of the gateway."`
	JSON  bool   `name:"json" help:"The path and the certificate's data as one JSON object."`
}

// Help is shown by trust --help.
func (trustCommand) Help() string {
	return `With certificates.source: local the certificates come from an authority on this machine, which
clients do not know. This prints where its root certificate is and how a client is told to trust it. Nothing is changed.

Whoever has the authority's key (root.key in the same folder) can pretend to be any site to such a client. Trust it
on machines for trying things out and inside an organisation; for the public there is certificates.source: acme.`
}

// Run prints the root's path, what it is, and the commands.
func (t *trustCommand) Run(env *environment) error {
	folder, err := t.folder()
	if err != nil {
		return err
	}
	path, root, err := certs.LocalRoot(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hint.Add(err, "the authority is made at the gateway's first start with certificates.source: local; this "+
			"command changes nothing")
	case errors.Is(err, fs.ErrPermission):
		return hint.Add(err, "run as root or as the user that gate421 runs as")
	case err != nil:
		return err
	}
	fingerprint := fingerprint(root)
	if t.JSON {
		return json.NewEncoder(env.stdout).Encode(struct {
			Path        string `json:"path"`
			Name        string `json:"name"`
			NotAfter    string `json:"not_after"`
			Fingerprint string `json:"sha256"`
		}{path, root.Subject.CommonName, root.NotAfter.UTC().Format("2006-01-02T15:04:05Z"), fingerprint})
	}
	fmt.Fprintf(env.stdout, "%s\n\n%s, until %s\nSHA-256 %s\n", path, root.Subject.CommonName,
		root.NotAfter.UTC().Format("2006-01-02"), fingerprint)
	for _, method := range trustMethods(path, runtime.GOOS) {
		fmt.Fprintf(env.stdout, "\n%s:\n", method.where)
		for _, line := range method.lines {
			fmt.Fprintf(env.stdout, "  %s\n", line)
		}
	}
	return nil
}

// folder finds the state folder.
func (t *trustCommand) folder() (string, error) {
	if t.State != "" {
		if t.Config != "" {
			return "", usageError(errors.New("--config and --state exclude each other: the file names the state folder"))
		}
		return t.State, nil
	}
	loaded, err := t.load()
	if err != nil {
		return "", err
	}
	if loaded.Certificates.Source != certs.SourceLocal {
		return "", hint.Add(fmt.Errorf("certificates.source is %s: its certificates need no trust of their own",
			loaded.Certificates.Source),
			"this command is for certificates.source: local")
	}
	return loaded.State, nil
}

func fingerprint(root *x509.Certificate) string {
	var pairs []string
	for _, b := range sha256.Sum256(root.Raw) {
		pairs = append(pairs, fmt.Sprintf("%02X", b))
	}
	return strings.Join(pairs, ":")
}

// trustMethod is how one kind of client is made to trust a root.
type trustMethod struct {
	where string
	lines []string
}

// trustMethods lists them, those of a platform first. Commands that change the system need its administrator.
func trustMethods(path, platform string) []trustMethod {
	word := hint.ShellWord(path)
	systems := map[string][]trustMethod{
		"linux": {
			{"Debian, Ubuntu and their kin, as root", []string{"cp " + word + " /usr/local/share/ca-certificates/gate421.crt",
				"update-ca-certificates"}},
			{"Fedora, RHEL, Arch and their kin, as root", []string{"trust anchor --store " + word}},
		},
		"darwin": {{"macOS", []string{"sudo security add-trusted-cert -d -r trustRoot -k " +
			"/Library/Keychains/System.keychain " + word}}},
		"windows": {{"Windows, as administrator", []string{`certutil -addstore -f Root "` + path + `"`}}},
	}
	ways := systems[platform]
	for _, other := range []string{"linux", "darwin", "windows"} {
		if other != platform {
			ways = append(ways, systems[other]...)
		}
	}
	return append(ways,
		trustMethod{"Firefox, which has a list of its own",
			[]string{"Settings, Privacy & Security, View Certificates, Authorities, Import: " + path}},
		trustMethod{"curl, without changing anything", []string{"curl --cacert " + word + " https://your-host/"}},
	)
}
