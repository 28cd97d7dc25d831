package archive

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"
)

const verifyStep = 4096 // logs between two looks at the context

// Verify reads the whole catalog and compares it with itself: each log is found by
// its key, the list of what is left to do is right, and so are the sums. If it
// is not, the next start makes it anew. Run does it once, beside its work.
func (a *Archive) Verify(ctx context.Context) error { return a.catalog.verify(ctx) }

func (c *catalog) verify(ctx context.Context) error {
	return c.view(func(bolt *bbolt.Tx) error {
		t := &tx{Tx: bolt}
		logs, due := bolt.Bucket(logsBucket), bolt.Bucket(dueBucket)
		var count, stored, left int64
		var last []byte
		cursor := logs.Cursor()
		for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
			r, err := decodeRecord(key, value)
			if err != nil {
				return err
			}
			listed := due.Get(key) != nil
			if bytes.Compare(last, key) >= 0 || !bytes.Equal(logs.Get(key), value) || listed == r.done() {
				return fmt.Errorf("%w: the record of %v is not where it should be", errRecord, decodeKey(key))
			}
			if listed {
				left++
			}
			count, stored = count+1, stored+r.stored()
			last = append(last[:0], key...)
			if count%verifyStep == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		cursor = due.Cursor()
		for key, _ := cursor.First(); key != nil; key, _ = cursor.Next() {
			left--
		}
		if count != t.number(countKey) || stored != t.number(bytesKey) || left != 0 {
			return fmt.Errorf("%w: there are %d logs with %d bytes, it says %d with %d",
				errRecord, count, stored, t.number(countKey), t.number(bytesKey))
		}
		return nil
	})
}
