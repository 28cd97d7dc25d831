package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/hodei-jobs/hodei/eventstore"
)

// The buckets. Numbers are big endian, so that keys sort as they count.
//
//	streams  name              → origin 8
//	revs     origin 8, rev 8   → position 8, count 4    one key a run
//	ids      event id 16       → position 8             of the first id of an append
//	meta     "checkpoint"      → see meta.go
var (
	bucketStreams = []byte("streams")
	bucketRevs    = []byte("revs")
	bucketIDs     = []byte("ids")
	bucketMeta    = []byte("meta")
	keyCheckpoint = []byte("checkpoint")
)

// indexed are the buckets that are digested, in the order of their digests.
var indexed = [buckets][]byte{bucketStreams, bucketRevs, bucketIDs}

const (
	buckets = 3

	openTimeout = 2 * time.Second // for the lock of another process
	firstMap    = 256 << 20       // bytes mapped at first: each growth of the map waits for readers

	revValueBytes = 8 + 4
)

// DamageError says that the index is not what was written. It can be made anew
// from the log.
type DamageError struct{ Reason string }

func (e *DamageError) Error() string { return "index is damaged: " + e.Reason }

func damage(format string, args ...any) error { return &DamageError{fmt.Sprintf(format, args...)} }

// bolt is the index in a bbolt file.
type bolt struct {
	db   *bbolt.DB
	file *os.File // that of db
	meta atomic.Pointer[meta]

	writing sync.Mutex // held by Write, and by a scrub while it begins
	broken  bool       // a write has panicked, maybe with bbolt's lock held; guarded by writing
}

// Open opens the index at path, or makes an empty one. A file that can't be read
// as one is an error; the caller moves it away. Only a file that is open nowhere
// else may be given. Damage may still end the process in what bbolt does while it
// opens: the caller marks that it opens.
func Open(path string) (Index, error) {
	b := &bolt{}
	err := b.open(path)
	if err == nil {
		err = b.load()
	}
	switch {
	case err == nil:
		return b, nil
	case b.db != nil:
		return nil, errors.Join(err, b.Close())
	case b.file != nil: // bbolt has panicked; its lock goes with the file
		_ = b.file.Close()
	}
	return nil, err
}

func (b *bolt) open(path string) (err error) {
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	b.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: openTimeout, InitialMmapSize: firstMap, FreelistType: bbolt.FreelistMapType,
		// NoFreelistSync stays off: with it, opening checks pages in a goroutine
		// whose panic nobody can catch.
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			b.file, err = os.OpenFile(name, flag, mode)
			return b.file, err
		},
	})
	if err != nil {
		b.db = nil
		return fmt.Errorf("cannot open index: %w", err)
	}
	return nil
}

// rescue turns a panic over damaged bytes, also a fault in mapped memory, into
// an error. It is deferred by every method that reads the file.
func rescue(err *error) {
	if r := recover(); r != nil {
		*err = damage("%v", r)
	}
}

// load reads the checkpoint, and makes the buckets of a new file.
func (b *bolt) load() (err error) {
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var m meta
	found := false
	err = b.db.View(func(tx *bbolt.Tx) error {
		w, err := pagesOf(tx, b.file)
		if err != nil {
			return err
		}
		if _, err := w.tree(w.root, bucketFlags, 0); err != nil { // of names of buckets; the rest is the scrub's
			return err
		}
		bucket := tx.Bucket(bucketMeta)
		if bucket == nil {
			if key, _ := tx.Cursor().First(); key != nil {
				return damage("bucket %s is missing", bucketMeta)
			}
			return nil
		}
		found = true
		for _, name := range indexed {
			if tx.Bucket(name) == nil {
				return damage("bucket %s is missing", name)
			}
		}
		if root := uint64(bucket.Root()); root != 0 {
			if _, err := w.tree(root, dataFlags, 0); err != nil {
				return err
			}
		}
		m, err = decodeMeta(bucket.Get(keyCheckpoint))
		return err
	})
	if err != nil {
		return err
	}
	b.meta.Store(&m)
	if found {
		return nil
	}
	return b.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range append([][]byte{bucketMeta}, indexed[:]...) {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyCheckpoint, m.encode())
	})
}

// Checkpoint implements [Index].
func (b *bolt) Checkpoint() Checkpoint { return b.meta.Load().Checkpoint }

// View implements [Index].
func (b *bolt) View(fn func(Reader) error) (err error) {
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return b.db.View(func(tx *bbolt.Tx) error {
		return fn(reader{tx.Bucket(bucketStreams), tx.Bucket(bucketRevs), tx.Bucket(bucketIDs)})
	})
}

type reader struct{ streams, revs, ids *bbolt.Bucket }

// Origin implements [Reader].
func (r reader) Origin(stream eventstore.StreamID) (eventstore.Position, bool) {
	return position(r.streams.Get([]byte(stream)))
}

// RunAt implements [Reader].
func (r reader) RunAt(origin eventstore.Position, rev eventstore.Revision) (Run, bool) {
	want := revKey(origin, rev)
	c := r.revs.Cursor()
	key, value := c.Seek(want)
	switch {
	case key == nil: // past the last key
		key, value = c.Last()
	case !bytes.Equal(key, want):
		key, value = c.Prev()
	}
	if len(key) != len(want) || !bytes.Equal(key[:8], want[:8]) || len(value) != revValueBytes {
		return Run{}, false
	}
	return Run{
		Origin:   origin,
		Revision: eventstore.Revision(binary.BigEndian.Uint64(key[8:])),
		Position: eventstore.Position(binary.BigEndian.Uint64(value)),
		Count:    binary.BigEndian.Uint32(value[8:]),
	}, true
}

// ByID implements [Reader].
func (r reader) ByID(id eventstore.EventID) (eventstore.Position, bool) {
	return position(r.ids.Get(id[:]))
}

func position(value []byte) (eventstore.Position, bool) {
	if len(value) != 8 {
		return 0, false
	}
	return eventstore.Position(binary.BigEndian.Uint64(value)), true
}

func revKey(origin eventstore.Position, rev eventstore.Revision) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(origin)), uint64(rev))
}

// entry is a key and its value.
type entry struct{ key, value []byte }

// Write implements [Index]. Runs that the index has already are passed over.
func (b *bolt) Write(runs []Run, c Checkpoint) (err error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	if b.broken {
		return damage("an earlier write has failed half-way")
	}
	b.broken = true // unless it gets to its end
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	m := *b.meta.Load()
	sets := entriesOf(runs, m.Position)
	m.Checkpoint = c
	for i, set := range sets {
		for _, e := range set {
			m.digests[i].add(e.key, e.value)
		}
		// In order and one bucket after the other: each page is touched once.
		slices.SortFunc(set, func(x, y entry) int { return bytes.Compare(x.key, y.key) })
	}
	err = b.db.Update(func(tx *bbolt.Tx) error {
		for i, set := range sets {
			bucket := tx.Bucket(indexed[i])
			for _, e := range set {
				if err := bucket.Put(e.key, e.value); err != nil {
					return err
				}
			}
		}
		return tx.Bucket(bucketMeta).Put(keyCheckpoint, m.encode())
	})
	b.broken = false
	if err != nil {
		return fmt.Errorf("cannot write index: %w", err)
	}
	b.meta.Store(&m)
	return nil
}

// entriesOf returns what the runs after a position put into each bucket.
func entriesOf(runs []Run, after eventstore.Position) (sets [buckets][]entry) {
	for i := range runs {
		r := &runs[i]
		if r.Position <= after {
			continue
		}
		if r.Revision == 1 {
			sets[0] = append(sets[0], entry{[]byte(r.Stream), binary.BigEndian.AppendUint64(nil, uint64(r.Origin))})
		}
		value := binary.BigEndian.AppendUint64(make([]byte, 0, revValueBytes), uint64(r.Position))
		sets[1] = append(sets[1], entry{revKey(r.Origin, r.Revision), binary.BigEndian.AppendUint32(value, r.Count)})
		if r.AppendID {
			sets[2] = append(sets[2], entry{bytes.Clone(r.ID[:]), binary.BigEndian.AppendUint64(nil, uint64(r.Position))})
		}
	}
	return sets
}

// untilDone is a file that takes bytes until ctx ends.
type untilDone struct {
	ctx  context.Context
	file *os.File
}

func (u untilDone) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.file.Write(p)
}

// Copy implements [Index]. A write that needs a larger mapping waits for its
// transaction.
func (b *bolt) Copy(ctx context.Context, path string) (err error) {
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = b.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(untilDone{ctx, f})
		return err
	})
	if err := errors.Join(err, ctx.Err(), f.Sync(), f.Close()); err != nil { // bbolt hides why
		return fmt.Errorf("cannot copy index: %w", err)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close implements [Index].
func (b *bolt) Close() (err error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	if b.broken { // bbolt would wait for its lock for ever; the mapping stays
		return b.file.Close()
	}
	defer rescue(&err)
	return b.db.Close()
}
