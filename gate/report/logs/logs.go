// Package logs answers one question: which records are in these decision logs, in the order of their time?
//
// A [Reader] reads logs to their end: files with the rotated ones beside them, compressed or not, and streams, of one
// gateway or of several. It yields records one by one, whatever source they come from, and counts what it could not use
// in [Stats]. A [Tail] follows a file that is being written.
//
// A log is taken as it is found: torn, damaged, hostile or of any length. No line is fatal, and memory is bounded by
// the number of sources that overlap in time, never by the number of lines. What is read is the documented schema of
// the log and nothing else: this package shares no code with the one that writes it.
package logs

import "time"

// Query says which records are asked for. The zero value asks for all.
type Query struct {
	Since, Until time.Time // Since inclusive, Until exclusive; zero: unbounded
	Site         string    // a site's name; "": all
	Path         string    // the pattern as typed; it selects nothing, Match does
	// Match says whether a path with its query string is asked for. Several goroutines call it at once. nil: all are.
	Match func(path string) bool
}

// Progress is how far a reading is.
type Progress struct {
	Read  int64 // bytes of the files as they are, compressed or not
	Total int64 // bytes of all files together; 0: not known
	Lines int64
}

// Stats says how much of what was read could be used, and whether the log is whole. Its JSON form is part of the
// report's schema.
type Stats struct {
	Files         []string `json:"files"`          // as they were opened, in the order they were read
	Bytes         int64    `json:"bytes"`          // read, after decompression
	Lines         int64    `json:"lines"`          // read, not counting empty ones
	Records       int64    `json:"records"`        // decisions that fit the query; of a selection: lines selected
	Broken        int64    `json:"broken"`         // pieces of a decision log's lines: torn, or cut off
	Foreign       int64    `json:"foreign"`        // lines that no decision log wrote
	Repeated      int64    `json:"repeated"`       // lines that were read before, and count once: the same boot and seq
	OtherVersions int64    `json:"other_versions"` // of the lines used: those of another version of the log's schema
	Boots         int64    `json:"boots"`          // runs of gateways that wrote
	Gaps          int64    `json:"gaps"`           // gap lines that tell of lost lines
	Lost          int64    `json:"lost"`           // lines that gap lines say were lost
	LeftOut       int64    `json:"left_out"`       // those that they say were left out: too many of one network
	Removed       int64    `json:"removed"`        // those removed by age, of whose files only the proof was kept
	Unsynced      int64    `json:"unsynced"`       // those that the disk did not confirm; they may be here all the same
	Missing       int64    `json:"missing"`        // numbers missing in seq inside of a boot that no gap line explains
	Withdrawn     int64    `json:"withdrawn"`      // refusals that a later record withdraws; the Reader leaves it 0
	Damaged       []string `json:"damaged"`        // files that could not be read to their end, each with ": " and why

	// Of the decisions that fit the query, UTC; zero if there is none, and of a selection.
	Earliest time.Time `json:"-"`
	Latest   time.Time `json:"-"`

	// Of a query for one site: whether it is in the log at any time, else which sites are, by name, at most 1,000, and
	// to which of them the host belongs that was asked for.
	SiteSeen   bool     `json:"-"`
	OtherSites []string `json:"-"`
	SiteOfHost string   `json:"-"`
}

// Recognized is how many of the lines are those of a decision log.
func (s *Stats) Recognized() int64 { return s.Lines - s.Broken - s.Foreign }

// addChunk adds what is known of a chunk of a file.
func (s *Stats) addChunk(file string, c *chunk) {
	if c.part != nil {
		s.Files = append(s.Files, file)
	}
	if c.damage != "" {
		s.Damaged = append(s.Damaged, file+": "+c.damage)
	}
	s.Bytes += c.bytes
	s.Lines += c.lines
	s.Records += c.records
	s.Broken += c.broken
	s.Foreign += c.foreign
	s.OtherVersions += c.otherVersions
	s.Repeated += c.repeated
}
