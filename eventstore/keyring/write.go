package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hodei-jobs/hodei/eventstore/durable"
)

// spareBytes is how much is written behind a file's first record before the file
// is written anew; at least as much as the first record has.
const spareBytes = 1 << 20

// pending is a change that waits to be made. All but plan is written by whoever
// holds File.write.
type pending struct {
	ctx  context.Context
	plan func(*draft) error

	made bool
	err  error
}

// change makes what plan adds to the draft durable, then shows it to everybody.
// Whoever comes first makes the changes of all who wait, in one write.
func (f *File) change(ctx context.Context, plan func(*draft) error) error {
	p := &pending{ctx: ctx, plan: plan}
	f.queuing.Lock()
	f.queue = append(f.queue, p)
	f.queuing.Unlock()
	f.write.Lock()
	defer f.write.Unlock()
	if !p.made {
		f.makeAll()
	}
	return p.err
}

// makeAll makes the changes that wait. The caller holds f.write.
func (f *File) makeAll() {
	f.queuing.Lock()
	batch := f.queue
	f.queue = nil
	f.queuing.Unlock()
	var planned []*pending
	var all []change
	d := newDraft(f.content) // which only this goroutine changes
	for _, p := range batch {
		p.made = true
		if p.err = f.planned(p, d, len(all)); p.err == nil && len(d.changes) > len(all) {
			planned = append(planned, p)
		}
		all = d.changes
	}
	if len(all) == 0 {
		return
	}
	if err := f.append(all); err != nil {
		for _, p := range planned {
			p.err = fmt.Errorf("cannot write the keyring: %w", err)
		}
		return
	}
	f.mu.Lock()
	for _, ch := range all {
		f.content.apply(ch)
	}
	f.mu.Unlock()
	if f.size-f.base > max(spareBytes, f.base) {
		_ = f.rewrite(f.content, f.wrap) // what was asked for is durable already
	}
}

// planned lets one of those who wait plan. One that fails adds nothing: it checks
// first and adds then.
func (f *File) planned(p *pending, d *draft, before int) error {
	if f.content == nil {
		return ErrClosed
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	err := p.plan(d)
	if err != nil && len(d.changes) != before {
		panic("a change of the keyring failed after it had begun")
	}
	return err
}

// append writes changes behind what the file has, durably. A failure leaves the
// file in doubt: before the next change it is written anew.
func (f *File) append(changes []change) error {
	if f.doubt {
		if err := f.rewrite(f.content, f.wrap); err != nil {
			return err
		}
	}
	record, err := appendRecord(nil, f.head, &f.wrap, f.records, changes)
	if err != nil {
		return err
	}
	if f.size+int64(len(record)) > maxFile {
		return fmt.Errorf("it would have more than %d bytes", maxFile)
	}
	f.doubt = true
	if _, err := f.file.Write(record); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.doubt = false
	f.records++
	f.size += int64(len(record))
	return nil
}

// rewrite puts a file in place that holds the content in one record. A crash
// leaves the file as it was or as it is to be. After a failure which of the two
// is there is in doubt.
func (f *File) rewrite(c *content, wrap DataKey) error {
	head, err := newHead()
	if err != nil {
		return err
	}
	whole, err := appendRecord(bytes.Clone(head), head, &wrap, 0, c.changes())
	if err != nil {
		return err
	}
	f.doubt = true
	if err := durable.Replace(f.files, f.path, whole); err != nil {
		return err
	}
	if err := f.continueFile(head, 1, int64(len(whole))); err != nil {
		return err
	}
	f.doubt = false
	return nil
}

// continueFile opens the file to write behind what it has.
func (f *File) continueFile(head []byte, records uint64, size int64) error {
	file, err := f.files.Open(f.path, os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return err
	}
	if f.file != nil {
		_ = f.file.Close() // all that was written to it is synced, or in doubt
	}
	f.file, f.head, f.records, f.size, f.base = file, head, records, size, size
	return nil
}

// Rotate seals the keyring with a new wrapping key, so that older copies of its
// file can't be opened with the key that is kept from now on. The new key lies
// beside the old one until the keyring is sealed with it: a crash leaves a pair
// that fits. So does a failure, after which it may be called again.
func (f *File) Rotate(ctx context.Context) error {
	f.write.Lock()
	defer f.write.Unlock()
	if f.content == nil {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.endRotation(); err != nil {
		return err
	}
	fresh, err := newKey()
	if err != nil {
		return err
	}
	if err := durable.Replace(f.files, f.keyPath+nextSuffix, keyText(fresh)); err != nil {
		return fmt.Errorf("cannot write the new wrapping key: %w", err)
	}
	if err := f.rewrite(f.content, fresh); err != nil {
		return fmt.Errorf("cannot write the keyring: %w", err)
	}
	f.wrap, f.astray = fresh, true
	return f.placeKey()
}

// endRotation ends a rotation that has failed, so that the key beside the wrapping
// key can be another: the keyring may have been sealed with the one that is there.
func (f *File) endRotation() error {
	if f.doubt {
		if err := f.rewrite(f.content, f.wrap); err != nil {
			return fmt.Errorf("cannot write the keyring: %w", err)
		}
	}
	if f.astray {
		return f.placeKey()
	}
	return nil
}

// Close forgets what was read and lets other processes in. It may be called
// twice. What the file says then stands in its first record, so that any bit that
// is missing or changed later is found.
func (f *File) Close() error {
	f.write.Lock()
	defer f.write.Unlock()
	if f.content != nil && (f.records > 1 || f.doubt) {
		_ = f.rewrite(f.content, f.wrap) // what was promised is durable already
	}
	f.mu.Lock()
	f.content = nil
	f.mu.Unlock()
	f.wrap = DataKey{}
	var err error
	if f.file != nil {
		err = f.file.Close()
	}
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	f.file, f.lock = nil, nil
	return err
}
