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
	scrubStep   = 4096            // keys between two looks at the context

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
	meta atomic.Pointer[meta]
}

// Open opens the index at path, or makes an empty one. A file that can't be read
// as one is an error; the caller moves it away. bbolt may still end the process
// on some damage, in goroutines of its own: the caller marks that it opens.
func Open(path string) (ix Index, err error) {
	defer rescue(&err)
	// NoFreelistSync stays off: with it, opening checks pages in a goroutine whose
	// panic nobody can catch.
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: openTimeout, FreelistType: bbolt.FreelistMapType, InitialMmapSize: firstMap})
	if err != nil {
		return nil, fmt.Errorf("cannot open index: %w", err)
	}
	b := &bolt{db: db}
	if err := b.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
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
		bucket := tx.Bucket(bucketMeta)
		if bucket == nil {
			return nil
		}
		found = true
		for _, name := range indexed {
			if tx.Bucket(name) == nil {
				return damage("bucket %s is missing", name)
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

// Scrub implements [Index].
func (b *bolt) Scrub(ctx context.Context, progress func(done, total uint64)) (err error) {
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return b.db.View(func(tx *bbolt.Tx) error {
		// What the file says now, not what was read when it was opened.
		m, err := decodeMeta(tx.Bucket(bucketMeta).Get(keyCheckpoint))
		if err != nil {
			return err
		}
		s := scrub{ctx: ctx, progress: progress, total: m.keys()}
		for i, name := range indexed {
			if err := s.bucket(tx.Bucket(name), name, m.digests[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

type scrub struct {
	ctx         context.Context
	progress    func(done, total uint64)
	done, total uint64
}

// bucket scans a bucket, which follows page ids, and looks each key up, which
// follows branch keys: damage in one doesn't show in the other.
func (s *scrub) bucket(bucket *bbolt.Bucket, name []byte, want digest) error {
	var got digest
	c := bucket.Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		if !bytes.Equal(bucket.Get(key), value) {
			return damage("bucket %s: key %x is not found", name, key)
		}
		got.add(key, value)
		if got.keys > want.keys {
			return damage("bucket %s has more keys than its %d", name, want.keys)
		}
		if s.done++; s.done%scrubStep == 0 {
			if err := s.ctx.Err(); err != nil {
				return err
			}
			if s.progress != nil {
				s.progress(s.done, s.total)
			}
		}
	}
	if got != want {
		return damage("bucket %s does not hold what was written: %d keys of %d", name, got.keys, want.keys)
	}
	return nil
}

// Copy implements [Index].
func (b *bolt) Copy(path string) (err error) {
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = b.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(f)
		return err
	})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
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
	defer rescue(&err)
	return b.db.Close()
}
