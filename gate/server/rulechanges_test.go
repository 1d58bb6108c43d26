package server

import (
	"reflect"
	"testing"

	"gate421/gate/audit"
	"gate421/gate/policy"
)

func TestRuleChanges(t *testing.T) {
	build := func(specs ...policy.Spec) *policy.Policy {
		p, err := policy.New(specs)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	old := build(
		policy.Spec{Hosts: []string{"a"}, State: policy.Observe,
			Paths: []policy.Rule{{Pattern: "/x/", State: policy.Allow}, {Pattern: "/y/", State: policy.Allow}}},
		policy.Spec{Hosts: []string{"b"}, State: policy.Allow},
	)
	if got := ruleChanges(old, old); got != nil {
		t.Errorf("nothing changed: %v", got)
	}
	got := ruleChanges(old, build(
		policy.Spec{Hosts: []string{"a"}, State: policy.Refuse,
			Paths: []policy.Rule{{Pattern: "/y/", State: policy.Allow}, {Pattern: "/z/", State: policy.Observe}}},
		policy.Spec{Hosts: []string{"b"}, State: policy.Allow},
	))
	want := []audit.Fields{
		{"site": "a", "rule": "http2_crawl", "from": "observe", "to": "refuse", "by": "reload"},
		{"site": "a", "rule": "/x/", "from": "allow", "to": "", "by": "reload"},
		{"site": "a", "rule": "/z/", "from": "", "to": "observe", "by": "reload"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
