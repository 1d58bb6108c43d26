// Package render answers one question: how is an audit report shown to people?
//
// A report is text for a terminal ([Text]), a page that needs nothing else ([HTML]), or its documented JSON form
// ([JSON]). All three are functions of the report alone, and the same report gives the same bytes. What strangers chose
// (paths, reverse names, hosts) can do nothing in any of them but be read.
package render

import "gate421/gate/report/analysis"

// report is a report that is being shown.
type report struct{ *analysis.Report }
