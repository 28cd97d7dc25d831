package snapshot

import (
	"errors"
	"os"
)

// files is all that is done to a folder of snapshots, so that a test can make
// any step of it fail.
type files interface {
	write(path string, parts ...[]byte) error // a whole file, synced
	rename(from, to string) error
	remove(path string) error
	syncDir(dir string) error
}

// disk is the real file system.
type disk struct{}

func (disk) write(path string, parts ...[]byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	for _, part := range parts { // one after the other: a snapshot may be too large to copy
		if _, err := f.Write(part); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

func (disk) rename(from, to string) error { return os.Rename(from, to) }

func (disk) remove(path string) error { return os.Remove(path) }

func (disk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
