package index

import (
	"bytes"
	"context"
	"errors"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// scrubStep is how many keys lie between two looks at the context.
const scrubStep = 4096

// Scrub implements [Index].
func (b *bolt) Scrub(ctx context.Context, progress func(done, total uint64)) (err error) {
	defer rescue(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, w, err := b.beginScrub()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	found, err := b.checkPages(tx, w)
	if err != nil {
		return err
	}
	// What the file says now, not what was read when it was opened.
	m, err := decodeMeta(tx.Bucket(bucketMeta).Get(keyCheckpoint))
	if err != nil {
		return err
	}
	s := scrub{ctx: ctx, progress: progress, total: m.keys()}
	for i, name := range indexed {
		if err := s.bucket(found[i], name, m.digests[i]); err != nil {
			return err
		}
	}
	return nil
}

// beginScrub begins a transaction while nothing is written.
func (b *bolt) beginScrub() (*bbolt.Tx, *pages, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	tx, err := b.db.Begin(false)
	if err != nil {
		return nil, nil, err
	}
	w, err := pagesOf(tx, b.file)
	if err != nil {
		return nil, nil, errors.Join(err, tx.Rollback())
	}
	return tx, w, nil
}

// checkPages goes through every page and returns the indexed buckets.
func (b *bolt) checkPages(tx *bbolt.Tx, w *pages) (found [buckets]*bbolt.Bucket, err error) {
	if _, err := w.tree(w.root, bucketFlags, 0); err != nil {
		return found, err
	}
	for i, name := range append(indexed[:], bucketMeta) {
		bucket := tx.Bucket(name)
		if bucket == nil {
			return found, damage("bucket %s is missing", name)
		}
		if root := uint64(bucket.Root()); root != 0 { // a small bucket lies within its parent's page
			if _, err := w.tree(root, dataFlags, 0); err != nil {
				return found, err
			}
		}
		if i < buckets {
			found[i] = bucket
		}
	}
	return found, w.freeList()
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
