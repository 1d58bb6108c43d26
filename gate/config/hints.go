package config

import (
	"strings"
)

// unknownHint looks for the key that was meant, first in this section, then in the others.
func unknownHint(section, key string) string {
	switch strings.ToLower(strings.Trim(key, "!<")) {
	case "include", "includes", "import", "imports", "extends", "conf_d", "conf.d":
		return "no other file is read: everything stands in this one; a program that puts files together can write it"
	}
	if isKey(section, key+"_file") {
		return "secrets stand in files of their own: write " + key + "_file: /path/to/the/file"
	}
	if near := Nearest(key, names(section)); near != "" {
		return "did you mean " + near + "?"
	}
	places := []struct{ section, place string }{
		{"", "the file, at the left margin"},
		{"listen", "listen"},
		{"certificates", "certificates"},
		{"verify", "verify"},
		{"log", "log"},
		{"rotate", "log.rotate"},
		{"limits", "limits"},
		{"sites", "a site, below sites"},
		{"origin_tls", "a site's origin_tls"},
		{"guard", "a site's guard"},
		{"files", "an entry of certificates.files"},
		{"dns", "certificates.dns"},
		{"authority", "an entry of certificates.ca"},
		{"eab", "eab, in an entry of certificates.ca"},
	}
	for _, p := range places {
		if p.section != section && isKey(p.section, key) {
			return key + " is a key of " + p.place
		}
	}
	if section == "sites" && strings.HasPrefix(key, "/") {
		return "path patterns stand below paths"
	}
	return "the keys here are " + enumerate(names(section), "and")
}

// sectionKind is what messages call a mapping.
const sectionKind = "a section with keys of its own"

// sectionHint shows how a section is written.
func sectionHint(section string) string {
	switch section {
	case "":
		return leastFile
	case "files":
		return "write {cert: /path/to/fullchain.pem, key: /path/to/privkey.pem}"
	case "eab":
		return "write {key_id: …, hmac_key_file: /path/to/key}"
	case "dns":
		return "write {provider: rfc2136, server: \"192.0.2.53:53\", key_file: /path/to/key}; null or no dns at all is for hosts without a star"
	case "sites":
		return `write {hosts: [example.com], origin: "http://127.0.0.1:3000", http2_crawl: refuse}, or these keys below the dash`
	}
	const hint = "write its keys below it, indented, or leave it out for the defaults"
	if known := names(section); len(known) < 10 {
		return hint + "; its keys are " + enumerate(known, "and")
	}
	return hint
}

// leastFile is the hint for a file without sites.
const leastFile = `the least is: sites: [{hosts: [example.com], origin: "http://127.0.0.1:3000", http2_crawl: refuse}]`

func oneOf(words []string) string { return enumerate(words, "or") }

func enumerate(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

// Nearest finds the word that differs least from s: in letter case or hyphens only, by a plural's s, or by a few slips.
// It returns "" when none is near.
func Nearest(s string, words []string) string {
	plain := strings.NewReplacer("-", "_", " ", "_")
	s = plain.Replace(strings.ToLower(s))
	if s == "" || len(s) > 40 {
		return ""
	}
	best, least := "", 0
	for _, word := range words {
		w := plain.Replace(word)
		d := distance(s, w)
		if d <= max(1, min(len(w), len(s))/3) && (best == "" || d < least) {
			best, least = word, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with a neighbour that make b of a.
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
