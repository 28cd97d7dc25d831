package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// The catalog's buckets.
var (
	logsBucket   = []byte("logs")   // key of an attempt → record
	dueBucket    = []byte("due")    // key of an attempt with which something is left to do → nothing
	sealedBucket = []byte("sealed") // when it was sealed (8 bytes big-endian), key → bytes it takes: what retention goes by
	metaBucket   = []byte("meta")

	bytesKey    = []byte("bytes")    // that all logs take
	countKey    = []byte("count")    // of logs
	completeKey = []byte("complete") // it was made to its end
)

const (
	catalogMode  = 0o600
	openTimeout  = 5 * time.Second
	batchDelay   = 5 * time.Millisecond // how long a change waits for others to share its sync
	firstMap     = 4 << 20
	duePage      = 512 // keys read in one view
	sealedKeyLen = 8 + keyBytes
)

// catalog says which logs there are and where, on this machine's disk. It holds
// nothing in memory but what bbolt maps.
type catalog struct {
	db     *bbolt.DB
	marker string // put there when the file is found damaged: the next start makes it anew
	bytes  atomic.Int64
}

// openCatalog opens the file, or makes an empty one that is not complete. A marker
// stands beside it while it is opened: if that ended the process, or the file was
// found damaged, it is refused.
func openCatalog(path, marker string) (c *catalog, err error) {
	if _, err := os.Stat(marker); err == nil {
		return nil, errors.New("it was found damaged")
	}
	if err := os.WriteFile(marker, nil, catalogMode); err != nil {
		return nil, err
	}
	c = &catalog{marker: marker}
	defer func() {
		if err == nil || errors.Is(err, bolterrors.ErrTimeout) {
			err = errors.Join(err, os.Remove(marker))
		}
	}()
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	// NoFreelistSync stays off: with it, opening checks pages in a goroutine whose
	// panic nobody can catch.
	c.db, err = bbolt.Open(path, catalogMode, &bbolt.Options{Timeout: openTimeout, InitialMmapSize: firstMap, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	c.db.MaxBatchDelay = batchDelay
	err = c.db.Update(func(bolt *bbolt.Tx) error {
		for _, name := range [][]byte{logsBucket, dueBucket, sealedBucket, metaBucket} {
			if _, err := bolt.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		c.bytes.Store((&tx{Tx: bolt}).number(bytesKey))
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, c.db.Close())
	}
	return c, nil
}

// rescue turns a panic over damaged bytes, also a fault in mapped memory, into an
// error.
func rescue(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", errRecord, r)
	}
}

func (c *catalog) close() error { return c.db.Close() }

func joinClose(err error, c *catalog) error { return errors.Join(err, c.close()) }

// complete tells whether the catalog was made to its end.
func (c *catalog) complete() (ok bool) {
	err := c.view(func(tx *bbolt.Tx) error {
		ok = tx.Bucket(metaBucket).Get(completeKey) != nil
		return nil
	})
	return ok && err == nil
}

// view reads. If the file is damaged, the next start makes it anew.
func (c *catalog) view(fn func(*bbolt.Tx) error) (err error) {
	defer c.note(&err)
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return c.db.View(fn)
}

// change writes durably, together with what others write at the same time.
func (c *catalog) change(fn func(*tx) error) (err error) {
	defer c.note(&err)
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return c.db.Batch(func(bolt *bbolt.Tx) error {
		t := &tx{Tx: bolt}
		if err := fn(t); err != nil {
			return err
		}
		return t.finish(c)
	})
}

func (c *catalog) note(err *error) {
	if errors.Is(*err, errRecord) {
		_ = os.WriteFile(c.marker, nil, catalogMode) // the error itself is told
	}
}

// get returns the record of a log; ok is false if there is none.
func (c *catalog) get(k joblog.Key) (r record, ok bool, err error) {
	err = c.view(func(bolt *bbolt.Tx) error {
		r, ok, err = (&tx{Tx: bolt}).get(k)
		return err
	})
	return r, ok, err
}

// due calls fn with the logs with which something is left to do, until it
// returns false. Fn may change the catalog; what it adds may be left out.
func (c *catalog) due(fn func(joblog.Key, record) bool) error {
	type log struct {
		k joblog.Key
		r record
	}
	for from := []byte{}; from != nil; {
		page := make([]log, 0, duePage)
		err := c.view(func(bolt *bbolt.Tx) error {
			cursor := bolt.Bucket(dueBucket).Cursor()
			key, _ := cursor.Seek(from)
			for ; key != nil && len(page) < duePage; key, _ = cursor.Next() {
				if len(key) != keyBytes {
					return errRecord
				}
				r, _, err := (&tx{Tx: bolt}).get(decodeKey(key))
				if err != nil {
					return err
				}
				page = append(page, log{decodeKey(key), r})
			}
			if key != nil {
				from = append([]byte(nil), key...)
			} else {
				from = nil
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, l := range page {
			if !fn(l.k, l.r) {
				return nil
			}
		}
	}
	return nil
}

// oldest calls fn with sealed logs, those first that were sealed first, until it
// returns false or an error.
func (c *catalog) oldest(fn func(k joblog.Key, at time.Time, stored int64) bool) error {
	return c.view(func(bolt *bbolt.Tx) error {
		cursor := bolt.Bucket(sealedBucket).Cursor()
		for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
			if len(key) != sealedKeyLen || len(value) != 8 {
				return errRecord
			}
			at := time.Unix(int64(binary.BigEndian.Uint64(key)), 0)
			if !fn(decodeKey(key[8:]), at, int64(binary.BigEndian.Uint64(value))) {
				return nil
			}
		}
		return nil
	})
}

// tx is one change.
type tx struct {
	*bbolt.Tx
	added int64 // bytes that logs take more than before
	more  int64 // logs there are more than before
}

func (t *tx) get(k joblog.Key) (r record, ok bool, err error) {
	key := encodeKey(k)
	value := t.Bucket(logsBucket).Get(key)
	if value == nil {
		return r, false, nil
	}
	r, err = decodeRecord(key, value)
	return r, err == nil, err
}

// put replaces the record of a log, and what is derived from it.
func (t *tx) put(k joblog.Key, r record) error {
	key := encodeKey(k)
	old, had, err := t.get(k)
	if err != nil {
		return err
	}
	t.added += r.stored() - old.stored()
	if !had {
		t.more++
	}
	if had && old.has(sealed) && !old.has(gone) {
		if err := t.Bucket(sealedBucket).Delete(sealedKey(old.at, key)); err != nil {
			return err
		}
	}
	if r.has(sealed) && !r.has(gone) {
		stored := binary.BigEndian.AppendUint64(nil, uint64(r.stored()))
		if err := t.Bucket(sealedBucket).Put(sealedKey(r.at, key), stored); err != nil {
			return err
		}
	}
	if r.done() {
		err = t.Bucket(dueBucket).Delete(key)
	} else {
		err = t.Bucket(dueBucket).Put(key, []byte{})
	}
	return errors.Join(err, t.Bucket(logsBucket).Put(key, r.encode(key)))
}

func sealedKey(at int64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(max(0, at))), key...)
}

// finish writes the sums over all logs.
func (t *tx) finish(c *catalog) error {
	if t.added == 0 && t.more == 0 {
		return nil
	}
	total := t.number(bytesKey) + t.added
	t.OnCommit(func() { c.bytes.Store(total) })
	return errors.Join(t.setNumber(bytesKey, total), t.setNumber(countKey, t.number(countKey)+t.more))
}

func (t *tx) number(key []byte) int64 {
	if b := t.Bucket(metaBucket).Get(key); len(b) == 8 {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (t *tx) setNumber(key []byte, n int64) error {
	return t.Bucket(metaBucket).Put(key, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// completed notes that the catalog was made to its end.
func (c *catalog) completed() error {
	return c.change(func(t *tx) error { return t.Bucket(metaBucket).Put(completeKey, []byte{1}) })
}
