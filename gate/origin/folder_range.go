package origin

import (
	"net/http"
	"strconv"
	"strings"

	"gate421/gate/http1"
)

// mostRanges are answered; a client that wants more gets the whole.
const mostRanges = 200

// cleanRange leaves of a Range what is to be answered, in the words that package net/http understands as RFC 9110
// section 14 does. What is no range of bytes, in whatever way, is ignored, as section 14.2 lets a server do, and the
// response is the whole: that is never wrong.
func cleanRange(r *http.Request, size int64) {
	said := r.Header["Range"]
	if said == nil {
		return
	}
	if len(said) == 1 {
		if ranges, ok := byteRanges(said[0], size); ok {
			r.Header["Range"] = []string{ranges}
			return
		}
	}
	delete(r.Header, "Range")
}

// byteRanges reads the ranges that a file of some size has bytes for; where there are none it returns one that cannot
// be had.
func byteRanges(said string, size int64) (ranges string, ok bool) {
	unit, set, _ := strings.Cut(said, "=")
	if !http1.Same(unit, "bytes") {
		return "", false
	}
	out := append(make([]byte, 0, len(said)+16), "bytes="...)
	n, met := 0, 0
	for one := range strings.SplitSeq(set, ",") {
		if one = http1.TrimBlanks(one); one == "" {
			continue // a list may have empty members (RFC 9110 section 5.6.1.2)
		}
		if n++; n > mostRanges {
			return "", false
		}
		first, last, ok := byteRange(one, size)
		if !ok {
			return "", false
		}
		if first > last {
			continue
		}
		if met++; met > 1 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, first, 10)
		out = append(out, '-')
		out = strconv.AppendInt(out, last, 10)
	}
	switch {
	case n == 0:
		return "", false
	case met == 0:
		return "bytes=" + strconv.FormatInt(size, 10) + "-", true
	}
	return string(out), true
}

// byteRange reads one range; first is beyond last where a file of this size has no byte of it.
func byteRange(one string, size int64) (first, last int64, ok bool) {
	from, to, dash := strings.Cut(one, "-")
	if !dash || from == "" && to == "" {
		return 0, 0, false
	}
	first, ok1 := position(from)
	last, ok2 := position(to)
	switch {
	case !ok1 || !ok2 || from != "" && to != "" && last < first:
		return 0, 0, false
	case from == "": // the last so many bytes
		return max(size-last, 0), size - 1, true
	case to == "" || last >= size:
		last = size - 1
	}
	return first, last, true
}

// position reads digits, and takes what is beyond any file for the largest number.
func position(digits string) (n int64, ok bool) {
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
	}
	if digits = strings.TrimLeft(digits, "0"); len(digits) > 18 {
		return 1 << 62, true
	}
	n, _ = http1.Decimal(digits)
	return n, true
}
