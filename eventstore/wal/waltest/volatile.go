package waltest

import (
	"encoding/binary"
	"os"
	"path/filepath"

	"github.com/hodei-jobs/hodei/eventstore/durable"
	"github.com/hodei-jobs/hodei/eventstore/durable/durabletest"
	"github.com/hodei-jobs/hodei/eventstore/wal"
)

// On returns what a log does to a disk whose power can be cut.
func On(v *durabletest.Volatile) wal.Files { return volatile{wal.Disk{Files: v}, v} }

type volatile struct {
	wal.Disk
	v *durabletest.Volatile
}

// Segment does what tidwall/wal does, which knows only the real disk.
func (d volatile) Segment(dir string) (wal.Segment, error) {
	f, err := d.v.Open(filepath.Join(dir, "00000000000000000001"), os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	return segmentOn{f}, nil
}

type segmentOn struct{ durable.File }

func (s segmentOn) Write(frame []byte) error {
	_, err := s.File.Write(append(binary.AppendUvarint(nil, uint64(len(frame))), frame...))
	return err
}
