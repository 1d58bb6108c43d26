package audit

// LogStats counts what a Log has done since it was opened; the two of the queue are as they stand.
type LogStats struct {
	QueueLines, QueueBytes int // accepted and not in the file yet
	WrittenLines           uint64
	WrittenBytes           uint64
	LostLines              uint64 // served requests' lines that the queue had no room for
	LeftOutLines           uint64 // those of networks that had had their share
	Gaps                   uint64 // gap lines, which tell of both
	GivenUp                uint64 // refusals that were not made because their line was not taken in time
	Failures               uint64 // writes that failed
	SyncFailures           uint64 // times that the disk did not confirm what was written
	Rotations              uint64
}

// Stats may be called at any time.
func (l *Log) Stats() LogStats {
	l.mu.Lock()
	stats := l.stats
	stats.QueueLines, stats.QueueBytes = l.lines, l.bytes
	l.mu.Unlock()
	stats.GivenUp = l.givenUp.Load()
	stats.Rotations = l.out.rotations.Load()
	return stats
}
