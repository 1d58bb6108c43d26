package render

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"gate421/gate/visible"
)

func TestNumbers(t *testing.T) {
	tests := []struct{ got, want string }{
		{numberText(0), "0"}, {numberText(999), "999"}, {numberText(1234567), "1,234,567"},
		{numberText(math.MinInt64), "-9,223,372,036,854,775,808"},
		{shareText(0, 0), "–"}, {shareText(0, 9), "0 %"}, {shareText(1, 1000), "<1 %"}, {shareText(999, 1000), ">99 %"},
		{shareText(7, 7), "100 %"}, {shareText(math.MaxInt64, math.MaxInt64), "100 %"},
		{spanText(-1), "0 s"}, {spanText(200 * time.Second), "3 min 20 s"}, {spanText(2 * time.Hour), "2 h"},
		{spanText(31 * time.Hour), "1 day 7 h"}, {spanText(6*24*time.Hour + 1), "6 days"},
		{secondsText(.4), "less than 1 s"}, {secondsText(59.9), "1 min"}, {secondsText(math.NaN()), "0 s"},
		{secondsText(math.Inf(1)), "106,751 days"},
		{sizeText(1), "1 byte"}, {sizeText(48_215_904), "48.2 MB"}, {sizeText(math.MaxInt64), "9.22 EB"},
		{sizeText(999_999), "1.00 MB"},
		{roundText(1500), "1.5k"}, {roundText(0), "0"},
		{visible.Text("a\x1b\u202e\xff\u0301"), `a\x1b\u202e\xff` + "\u0301"}, {cutMiddle("0123456789", 6), "012…89"},
		{cutMiddle("商品商品商品", 6), "商…品"}, {cutEnd("商品", 3), "商…"},
		{strings.Join(wrapText("a bb ccc dddddddd", 5), "|"), "a bb|ccc|ddddd|ddd"},
		{fmt.Sprint(columnsIn("商a\u0301")), "3"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
