package joblog

// seriesBit marks the attempt in the key of a series.
const seriesBit = MaxAttempt + 1

// Series names what the attempt uses second by second, which agents write as
// agentproto/series says. It is a log of its own beside the attempt's: with its own
// offsets, kept, moved to the archive and removed like any other.
func (k Key) Series() Key { return Key{k.Job, k.Attempt | seriesBit} }

// IsSeries says whether the key is of a series.
func (k Key) IsSeries() bool { return k.Attempt&seriesBit != 0 }

// Log names the attempt's log, of its series too.
func (k Key) Log() Key { return Key{k.Job, k.Attempt &^ seriesBit} }
