package report

import (
	"bytes"
	"encoding/json"
	"testing"

	"gate421/gate/visible"
)

// The JSON form does nothing to a terminal either, and says the same.
func TestJSONHidesNothing(t *testing.T) {
	const trick = "a\x1b[2J\x7f\u009b31m\u202e\u2028\U000e0041\ufeff\n\u00fc\u4e2d\"<b>"
	r := Report{Unknown: []Cause{{Cause: trick}}}
	var out bytes.Buffer
	if err := r.JSON(&out); err != nil {
		t.Fatal(err)
	}
	for _, c := range out.String() {
		if c != '\n' && visible.Hidden(c) {
			t.Errorf("%q in %q", c, out.String())
		}
	}
	var back Report
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Unknown[0].Cause != trick {
		t.Errorf("%v %+v", err, back.Unknown)
	}
}
