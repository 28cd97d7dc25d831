package wal

import "golang.org/x/sys/unix"

// Sparing is Files of a log that leaves what little room there is to others: as
// long as Low says so its disk is full. Nothing is appended then; what little else
// it does fits.
type Sparing struct {
	Files
	Low func() bool
}

// Segment implements [Files].
func (s Sparing) Segment(dir string) (Segment, error) {
	segment, err := s.Files.Segment(dir)
	return sparingSegment{segment, s.Low}, err
}

type sparingSegment struct {
	Segment
	low func() bool
}

func (s sparingSegment) Write(frame []byte) error {
	if s.low() {
		return unix.ENOSPC
	}
	return s.Segment.Write(frame)
}
