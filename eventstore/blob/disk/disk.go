// Package disk keeps objects as files in a folder. A file is written under
// another name in ".tmp", synced, renamed, and the folders it stands in synced, so
// that an object is whole or absent after a power loss. What a crash leaves in
// ".tmp" is removed when the folder is opened again; only one process may have it
// open.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/hodei-jobs/hodei/eventstore/blob"
)

const (
	dirMode  = 0o700
	fileMode = 0o600

	tempDir   = ".tmp" // no key can name it
	copyBytes = 256 << 10
)

// Store keeps objects in a folder. It implements [blob.Store].
type Store struct {
	root *os.Root // nothing below it, symbolic links included, leads out of it
	last atomic.Uint64
}

// Open opens the folder and makes it if there is none.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("cannot open the store of objects: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the store of objects: %w", err)
	}
	s := &Store{root: root}
	if err := s.clear(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the store of objects: %w", err), root.Close())
	}
	return s, nil
}

// clear removes what a crash left behind and makes what is there durable.
func (s *Store) clear() error {
	if err := s.root.RemoveAll(tempDir); err != nil {
		return err
	}
	if err := s.root.Mkdir(tempDir, dirMode); err != nil {
		return err
	}
	return s.sync(".")
}

// Close frees the folder.
func (s *Store) Close() error { return s.root.Close() }

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, key string, body io.Reader, o blob.Options) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if o.Create {
		if _, err := s.root.Stat(key); err == nil {
			return blob.ErrExists
		}
	}
	temp := path.Join(tempDir, fmt.Sprint(s.last.Add(1)))
	err := s.write(ctx, temp, body, o.Size)
	if err == nil {
		err = s.name(temp, key, o.Create)
	}
	if err != nil {
		// The leftover takes room only, until the folder is opened again.
		_ = s.root.Remove(temp)
	}
	return err
}

// write fills a file and syncs it.
func (s *Store) write(ctx context.Context, name string, body io.Reader, size int64) error {
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return unavailable(err)
	}
	source := &reader{ctx: ctx, body: body}
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, source, make([]byte, copyBytes))
	switch {
	case source.err != nil:
		err = source.err
	case err != nil:
		err = unavailable(err)
	case size != blob.UnknownSize && n != size:
		err = fmt.Errorf("blob: the body has %d bytes, not the %d that were said", n, size)
	default:
		err = unavailable(f.Sync())
	}
	return errors.Join(err, unavailable(f.Close()))
}

// reader tells failures of the body from those of the disk, and ends with ctx.
type reader struct {
	ctx  context.Context
	body io.Reader
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err = r.ctx.Err(); r.err != nil {
		return 0, r.err
	}
	n, err := r.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// name gives a whole file its key. A crash before the rename leaves nothing, one
// after it the object.
func (s *Store) name(temp, key string, create bool) error {
	if err := s.folders(path.Dir(key)); err != nil {
		return err
	}
	if create {
		err := s.root.Link(temp, key) // unlike a rename it fails if the name is taken
		if errors.Is(err, fs.ErrExist) {
			return blob.ErrExists
		}
		if err != nil {
			return unavailable(err)
		}
		if err := s.root.Remove(temp); err != nil {
			return unavailable(err)
		}
	} else if err := s.root.Rename(temp, key); err != nil {
		return unavailable(err)
	}
	return s.sync(path.Dir(key))
}

// folders makes the folders of a path, each durable before what stands in it.
func (s *Store) folders(dir string) error {
	if dir == "." {
		return nil
	}
	if _, err := s.root.Stat(dir); err == nil {
		return nil
	}
	if err := s.folders(path.Dir(dir)); err != nil {
		return err
	}
	if err := s.root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return unavailable(err)
	}
	return s.sync(path.Dir(dir))
}

func (s *Store) sync(dir string) error {
	f, err := s.root.Open(dir)
	if err != nil {
		return unavailable(err)
	}
	return errors.Join(unavailable(f.Sync()), unavailable(f.Close()))
}

// Get implements [blob.Store].
func (s *Store) Get(_ context.Context, key string, offset int64, n int) ([]byte, error) {
	if err := errors.Join(blob.CheckKey(key), blob.CheckRange(offset, n)); err != nil {
		return nil, err
	}
	f, err := s.root.Open(key)
	if err != nil {
		return nil, unavailable(err)
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return nil, errors.Join(blob.ErrNotFound, err, f.Close())
	}
	data := make([]byte, max(0, min(int64(n), info.Size()-offset)))
	if _, err = f.ReadAt(data, offset); errors.Is(err, io.EOF) && len(data) == 0 {
		err = nil
	}
	return data, errors.Join(unavailable(err), unavailable(f.Close()))
}

// Stat implements [blob.Store].
func (s *Store) Stat(_ context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	info, err := s.root.Stat(key)
	switch {
	case err != nil:
		return blob.Info{}, unavailable(err)
	case info.IsDir():
		return blob.Info{}, blob.ErrNotFound
	}
	return blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

// List implements [blob.Store]. It looks only into folders that may hold such keys.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if err := blob.CheckPrefix(prefix); err != nil {
			yield(blob.Info{}, err)
			return
		}
		start := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			start = prefix[:i]
		}
		err := fs.WalkDir(s.root.FS(), start, func(name string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil // none, or deleted meanwhile
			case err != nil:
				return err
			case e.IsDir() && (name == tempDir || name != "." && !related(name+"/", prefix)):
				return fs.SkipDir
			case e.IsDir() || !strings.HasPrefix(name, prefix) || blob.CheckKey(name) != nil:
				return ctx.Err()
			}
			return offer(name, e, yield)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(blob.Info{}, unavailable(err))
		}
	}
}

var errStop = errors.New("the reader of a list has enough")

func related(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

func offer(name string, e fs.DirEntry, yield func(blob.Info, error) bool) error {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !yield(blob.Info{Key: filepath.ToSlash(name), Size: info.Size(), Modified: info.ModTime()}, nil) {
		return errStop
	}
	return nil
}

// Delete implements [blob.Store]. Folders stay: others may be about to use them.
func (s *Store) Delete(_ context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	info, err := s.root.Stat(key)
	if absent(err) || err == nil && info.IsDir() {
		return nil
	}
	if err := s.root.Remove(key); err != nil && !absent(err) {
		return unavailable(err)
	}
	return s.sync(path.Dir(key))
}
