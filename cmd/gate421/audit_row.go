package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"gate421/gate/visible"
)

// member is one of a line of the log, as text.
type member struct{ name, value string }

// membersOf are the members of a line, in their order. The line is a JSON object.
func membersOf(line []byte) (all []member) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.Token()
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return all
		}
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			return all
		}
		value := string(raw)
		if raw[0] == '"' {
			json.Unmarshal(raw, &value)
		}
		text, _ := name.(string)
		all = append(all, member{text, value})
	}
	return all
}

// row is a line of the log as a person reads it.
func row(all []member) string {
	is := map[string]string{}
	for _, f := range all {
		is[f.name] = visible.Text(f.value)
	}
	words := []string{when(is["time"])}
	add := func(text string) {
		if text = strings.TrimSpace(text); text != "" {
			words = append(words, text)
		}
	}
	if is["event"] != "decision" {
		add(is["event"])
		for _, f := range all {
			switch f.name {
			case "v", "time", "boot", "seq", "event":
			default:
				add(visible.Text(f.name) + "=" + visible.Text(f.value))
			}
		}
		return strings.Join(words, "  ")
	}
	host := is["host"]
	if host == "" {
		host = is["site"]
	}
	add(host + is["path"])
	add(is["proto"])
	add(is["client_ip"])
	add(is["claim"] + " " + is["verdict"])
	add(is["reason"])
	add(is["status"])
	if is["rule"] != "" {
		add("rule " + is["rule"])
	}
	return strings.Join(words, "  ")
}

// when is a time of the log to the millisecond, as columns like it.
func when(text string) string {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
