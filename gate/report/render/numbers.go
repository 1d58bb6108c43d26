package render

import (
	"math"
	"strconv"
	"time"

	"gate421/gate/report/analysis"
)

// plus adds counts, and takes negative ones as 0; what does not fit stays at the largest.
func plus(a, b int64) int64 {
	a, b = max(a, 0), max(b, 0)
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// numberText writes a number with a comma between each three digits.
func numberText(n int64) string {
	text, sign := strconv.FormatInt(n, 10), ""
	if n < 0 {
		text, sign = text[1:], "-"
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// countText is a number of things: 1 line, 2 lines.
func countText(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return numberText(n) + " " + many
}

// plural picks the word that goes with a count.
func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// shareText is a part in per cent: 0 and 100 only where that is exact, and – where there is no whole.
func shareText(part, whole int64) string {
	if whole <= 0 {
		return "–"
	}
	part = min(max(part, 0), whole)
	percent := int64(math.Round(100 * float64(part) / float64(whole)))
	switch {
	case part > 0 && percent == 0:
		return "<1 %"
	case part < whole && percent == 100:
		return ">99 %"
	}
	return numberText(percent) + " %"
}

// roundText is a number for the axis of a chart: three digits at most, and k, M or G.
func roundText(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= unit.size {
			return strconv.FormatFloat(math.Round(n/unit.size*10)/10, 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatFloat(math.Round(n*10)/10, 'f', -1, 64)
}

// sizeText is a number of bytes.
func sizeText(n int64) string {
	if n < 1000 {
		return countText(max(n, 0), "byte", "bytes")
	}
	size := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if size /= 1000; size < 999.5 || unit == "EB" {
			return strconv.FormatFloat(size, 'f', max(0, 2-int(math.Log10(size))), 64) + " " + unit
		}
	}
	return ""
}

// spanText is a duration in its two largest units, and in days alone from two days on.
func spanText(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(big, small time.Duration, bigName, smallName string) string {
		text := numberText(int64(d/big)) + " " + bigName
		if rest := d % big / small; rest > 0 {
			text += " " + numberText(int64(rest)) + " " + smallName
		}
		return text
	}
	switch {
	case d <= 0:
		return "0 s"
	case d < time.Second:
		return "less than 1 s"
	case d < time.Minute:
		return numberText(int64(d/time.Second)) + " s"
	case d < time.Hour:
		return two(time.Minute, time.Second, "min", "s")
	case d < day:
		return two(time.Hour, time.Minute, "h", "min")
	case d < 2*day:
		return two(day, time.Hour, "day", "h")
	}
	return numberText(int64(d/day)) + " days"
}

// secondsText is spanText of a duration in seconds.
func secondsText(s float64) string {
	if math.IsNaN(s) || s <= 0 {
		return "0 s"
	}
	if s > float64(math.MaxInt64)/float64(time.Second) {
		return spanText(math.MaxInt64)
	}
	d := time.Duration(s * float64(time.Second))
	if d >= time.Second {
		d = d.Round(time.Second)
	}
	return spanText(d)
}

// minuteText is a time to the minute, in UTC.
func minuteText(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2 Jan 2006 15:04")
}

// share is the part of verified crawling that came over HTTP/2; any is false without any crawling.
func share(p analysis.Point) (part float64, any bool) {
	all := plus(p.HTTP2, p.HTTP1)
	if all == 0 {
		return 0, false
	}
	return float64(max(p.HTTP2, 0)) / float64(all), true
}

// requests is the number of crawl requests, over both protocols.
func requests(c *analysis.Crawl) int64 { return plus(c.HTTP2, c.HTTP1) }

// age is how long before the end of the report something was.
func (r report) age(t time.Time) time.Duration { return max(0, r.Until.Sub(t)) }
