package wal

// What the tests of the package's outside share with those of its inside.
var (
	Small        = small
	AppendFrames = appendFrames
	FrameAt      = frameAt
	Verify       = verify
	Reopen       = reopen
)
