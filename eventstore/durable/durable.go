// Package durable does to files what must have reached the disk when it returns.
// A crash at any moment, also one of the power, leaves each file as it was or as
// it was to be; [Write] and [Update] alone may leave a file half done, under a
// name that nobody reads.
//
// It holds no state: calls for different paths may run at the same time.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// Temporary ends the name of a file that [Replace] has not put in place yet. One
	// that is found was left by a crash and can go.
	Temporary = ".tmp"

	dirMode  = 0o700
	fileMode = 0o600
)

// Files is all that is done to a disk, so that a test can make any step of it
// fail, or cut the power after it. Only [File.Sync] makes something durable: the
// bytes of a file, or the names in a folder.
type Files interface {
	// Open opens a file, or a folder to sync it. What it makes is its owner's alone.
	Open(path string, flag int) (File, error)
	Mkdir(path string) error
	Rename(from, to string) error
	Remove(path string) error    // a file, or an empty folder
	RemoveAll(path string) error // a file, or a folder with all in it, or nothing
}

// File is an open file or folder.
type File interface {
	io.Writer
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// OS is the real file system.
type OS struct{}

// Open implements [Files].
func (OS) Open(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, fileMode)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Mkdir implements [Files].
func (OS) Mkdir(path string) error { return os.Mkdir(path, dirMode) }

// Rename implements [Files].
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [Files].
func (OS) Remove(path string) error { return os.Remove(path) }

// RemoveAll implements [Files].
func (OS) RemoveAll(path string) error { return os.RemoveAll(path) }

// Update opens a file, changes and syncs it.
func Update(files Files, path string, flag int, change func(File) error) error {
	f, err := files.Open(path, flag)
	if err != nil {
		return err
	}
	if err = change(f); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Write writes a whole file, the parts one after the other. Its name is not
// durable before its folder is synced.
func Write(files Files, path string, parts ...[]byte) error {
	return write(files, path, os.O_TRUNC, parts)
}

func write(files Files, path string, flag int, parts [][]byte) error {
	return Update(files, path, os.O_CREATE|os.O_WRONLY|flag, func(f File) error {
		for _, part := range parts { // not joined: they may be too large to copy
			if _, err := f.Write(part); err != nil {
				return err
			}
		}
		return nil
	})
}

// Replace puts a file in place, whole. After an error the file is as it was or
// as it was to be, and after a crash it may be either.
func Replace(files Files, path string, parts ...[]byte) error {
	temp := path + Temporary
	if _, err := os.Lstat(temp); err == nil { // of a crash
		if err := files.Remove(temp); err != nil {
			return err
		}
	}
	err := write(files, temp, os.O_EXCL, parts)
	if err == nil {
		err = files.Rename(temp, path)
	}
	if err != nil {
		_ = files.Remove(temp) // if it stays, the next Replace removes it
		return err
	}
	return SyncDir(files, filepath.Dir(path))
}

// SyncDir makes the names in a folder durable.
func SyncDir(files Files, dir string) error {
	return Update(files, dir, os.O_RDONLY, func(File) error { return nil })
}

// MakeDir makes a folder and those above it that are missing, durably. It is made
// durable also if it is there: a kill may have come before its name was synced.
func MakeDir(files Files, dir string) error {
	return MakeDirBy(files.Mkdir, func(dir string) error { return SyncDir(files, dir) }, dir)
}

// MakeDirBy is [MakeDir] by other means: mkdir makes one folder, sync makes the
// names in one durable.
func MakeDirBy(mkdir, sync func(dir string) error, dir string) error {
	parent := filepath.Dir(dir)
	_, err := os.Stat(dir)
	if err == nil {
		if err = sync(parent); errors.Is(err, fs.ErrPermission) {
			return nil // whoever made it is somebody else
		}
		return err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := MakeDirBy(mkdir, sync, parent); err != nil {
		return err
	}
	if err := mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return sync(parent)
}
