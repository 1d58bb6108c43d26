package server

import (
	"cmp"

	"gate421/certs"
	"gate421/gate/config"
	"gate421/gate/origin"
)

// The settings of the parts, made from the configuration. They are exported for gate/check, which tries the parts one
// by one.

// OriginConfig is for some or all of a site's own servers. OnHealth and Files are not set.
func OriginConfig(s config.Site, servers []string, limits config.Limits) origin.Config {
	t := s.OriginTLS
	return origin.Config{
		Servers: servers, ServerName: t.ServerName, CA: t.CA, InsecureSkipVerify: t.InsecureSkipVerify,
		ClientCert: t.ClientCert, ClientKey: t.ClientKey, Wait: cmp.Or(s.OriginTime, limits.OriginTime),
		StallTime: limits.StallTime, StallBytes: limits.StallBytes,
	}
}

// CertificatesConfig is for the certificates of all sites. The callbacks and the ports of the listeners are not set.
func CertificatesConfig(c *config.Config) certs.Config {
	settings := c.Certificates
	wanted := certs.Config{
		Source: settings.Source, Email: settings.Email, UnknownHost: settings.UnknownHost, Storage: settings.Storage,
		Folder: c.State,
	}
	for _, ca := range settings.CAs {
		wanted.CAs = append(wanted.CAs, certs.CA(ca))
	}
	if d := settings.DNS; d != nil {
		wanted.DNS = &certs.DNS{
			Provider: d.Provider, Server: d.Server, KeyName: d.KeyName, KeyAlgorithm: d.KeyAlgorithm, KeyFile: d.KeyFile,
			AccountFile: d.AccountFile, TokenFile: d.TokenFile, DelegatedTo: d.DelegatedTo, Resolvers: d.Resolvers,
			Propagation: d.Propagation,
		}
		if d.Propagation == 0 {
			wanted.DNS.Propagation = -1 // do not wait
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

// ACMEHint is the cure where certificates from an authority cannot be set up.
const ACMEHint = "correct what certificates says, and let the user that gate421 runs as read the files it names"
