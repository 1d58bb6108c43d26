package render

import (
	"bytes"
	"encoding/json"
	"testing"

	"gate421/gate/report/analysis"
	"gate421/gate/visible"
)

// The JSON form does nothing to a terminal either, and says the same.
func TestJSONHidesNothing(t *testing.T) {
	const trick = "a\x1b[2J\x7f\u009b31m\u202e\u2028\U000e0041\ufeff\n\u00fc\u4e2d\"<b>"
	r := analysis.Report{Unknown: []analysis.Cause{{Cause: trick}}}
	var out bytes.Buffer
	if err := JSON(&out, &r); err != nil {
		t.Fatal(err)
	}
	for _, c := range out.String() {
		if c != '\n' && visible.Hidden(c) {
			t.Errorf("got %q in %q, want it escaped", c, out.String())
		}
	}
	var back analysis.Report
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Unknown[0].Cause != trick {
		t.Errorf("got %v, %+v, want the cause %q", err, back.Unknown, trick)
	}
}
