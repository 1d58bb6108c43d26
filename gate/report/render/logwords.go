package render

import (
	"gate421/gate/report/logs"
	"gate421/gate/visible"
)

// whole says that no line is known to be missing.
func whole(s *logs.Stats) bool {
	return s.Broken <= 0 && s.Lost <= 0 && s.Gaps <= 0 && s.Missing <= 0 && len(s.Damaged) == 0
}

// logWords says what was read and what is missing, each in a sentence or two.
func logWords(s *logs.Stats) []string {
	if s.Lines <= 0 && whole(s) {
		return []string{"No line was read."}
	}
	out := []string{
		countText(s.Lines, "line", "lines") + " in " + countText(int64(len(s.Files)), "file", "files") + " (" +
			sizeText(s.Bytes) + "), written by " + countText(s.Boots, "run", "runs") + " of the gateway. " +
			countText(s.Records, "decision fits", "decisions fit") + " what was asked for.",
	}
	if whole(s) {
		out = append(out, "The log is whole: no line is broken, lost or missing.")
	}
	add := func(n int64, text string) {
		if n > 0 {
			out = append(out, text)
		}
	}
	for i, file := range s.Damaged {
		if i == 10 {
			add(1, "And "+countText(int64(len(s.Damaged)-i), "more file", "more files")+""+
				" could not be read to the end.")
			break
		}
		add(1, "A file could not be read to its end: "+visible.Text(file)+".")
	}
	add(s.Broken, countText(s.Broken, "line is", "lines are")+" broken: torn, or cut off,"+
		" as when the machine stopped while writing.")
	add(max(s.Gaps, s.Lost), countText(s.Lost, "line was", "lines were")+" lost while the log could not be written,"+
		" as "+countText(s.Gaps, "gap line says.", "gap lines say.")+
		" They were of requests that were served: no refusal goes without its line.")
	add(s.LeftOut, countText(s.LeftOut, "line was", "lines were")+" left out"+
		" because networks sent far more requests than anybody needs to. None of them was of a verified crawler.")
	add(s.Removed, countText(s.Removed, "line was", "lines were")+" removed by age."+
		" The lines of verified crawlers and the events of that time were kept; claims that were not verified are "+
		"missing from it.")
	add(s.Unsynced, "The disk did not confirm "+countText(s.Unsynced, "line", "lines")+" that "+
		plural(s.Unsynced, "was", "were")+" written. What of them is not here counts as missing.")
	add(s.Missing, countText(s.Missing, "line is", "lines are")+" missing:"+
		" the numbers of the lines have holes that no gap line explains. Was a rotated file left out, or were lines "+
		"removed?")
	add(s.Withdrawn, countText(s.Withdrawn, "refusal was", "refusals were")+" taken back by a later line:"+
		" the request was served after all, and counts as served.")
	add(s.Repeated, countText(s.Repeated, "line was", "lines were")+" there more than once,"+
		" as shippers deliver them or in a copy of a file, and counted once.")
	add(s.Foreign, countText(s.Foreign, "line was", "lines were")+" written by other programs, and not counted.")
	add(s.OtherVersions, countText(s.OtherVersions, "line has", "lines have")+" another version of the log’s schema,"+
		" and "+plural(s.OtherVersions, "was", "were")+" counted as far as it is understood.")
	return out
}
