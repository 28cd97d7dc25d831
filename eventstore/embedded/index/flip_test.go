package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/hodei-jobs/hodei/eventstore"
)

// filled makes an index of many streams and returns its file and its model.
func filled(t testing.TB, streams int) (string, *model) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.db")
	ix, m := open(t, path), newModel()
	var runs []Run
	for i := range streams {
		runs = append(runs, m.add(eventstore.StreamID(fmt.Sprintf("job-%04d", i)), 3, true))
	}
	for i := range streams {
		runs = append(runs, m.add(eventstore.StreamID(fmt.Sprintf("job-%04d", i)), 1, true))
	}
	if err := ix.Write(runs, Checkpoint{Position: m.head}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // so that there are free pages
		runs = []Run{m.add(eventstore.StreamID(fmt.Sprintf("job-%04d", i)), 1, true)}
		if err := ix.Write(runs, Checkpoint{Position: m.head}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	return path, m
}

// A flipped bit anywhere in the bytes in use is found by opening or by the scrub,
// or every answer is right all the same, also after more was written: a page in
// use that damage has put on the list of free ones would be written over. None
// of it ends the process or goes on for ever.
func TestEveryFlippedByteIsFoundOrHarmless(t *testing.T) {
	path, m := filled(t, 120)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used, end := bytesInUse(t, path)
	whole = whole[:end] // the rest is room to grow
	step := 997
	switch {
	case os.Getenv("HODEI_LONG") != "":
		step = 5
	case testing.Short():
		step = 4999
	}
	flipped := filepath.Join(t.TempDir(), "flipped.db")
	found, harmless := 0, 0
	for bit := 0; bit < 8*len(used); bit += step {
		at := used[bit/8]
		b := slices.Clone(whole)
		b[at] ^= 1 << (bit % 8)
		switch detected, err := examine(t, flipped, b, m); {
		case detected:
			found++
		case err != nil:
			t.Fatalf("byte %d, bit %d: the scrub passed, but %v", at, bit%8, err)
		default:
			harmless++
		}
	}
	t.Logf("%d flips found, %d harmless", found, harmless)
	if found == 0 {
		t.Error("no flip was found")
	}
}

// examine opens a file with these bytes. It reports whether damage was detected,
// and else what is wrong with the answers, before and after more is written.
func examine(t *testing.T, path string, b []byte, m *model) (detected bool, err error) {
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	ix, err := Open(path)
	if err != nil {
		return true, nil
	}
	defer func() { _ = ix.Close() }()
	// A damaged newer meta page leaves the transaction before it, which is whole:
	// the store brings it up to date.
	if ix.Checkpoint().Position != m.head || ix.Scrub(context.Background(), nil) != nil {
		return true, nil
	}
	if err := m.check(ix); err != nil {
		return false, err
	}
	more := m.clone()
	for range 2 {
		var runs []Run
		for i := range 20 {
			runs = append(runs, more.add(eventstore.StreamID(fmt.Sprintf("more-%d", i)), 2, true))
		}
		if err := ix.Write(runs, Checkpoint{Position: more.head}); err != nil {
			return false, err
		}
	}
	return false, errors.Join(more.check(ix), ix.Scrub(context.Background(), nil))
}

// Pages that would be followed for ever, or written over though they are in use.
func TestPagesThatLeadAstrayAreFound(t *testing.T) {
	path, m := filled(t, 2000)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, end := bytesInUse(t, path)
	whole = whole[:end]
	size := os.Getpagesize()
	var branch, leaf, free int
	for at := 2 * size; at+size <= len(whole); at += size {
		switch order.Uint16(whole[at+8:]) {
		case branchPage:
			branch = at
		case leafPage:
			leaf = at
		case freePages:
			free = at
		}
	}
	for name, change := range map[string]func(b []byte){
		"a page is its own child":                    func(b []byte) { order.PutUint64(b[branch+pageHeader+8:], uint64(branch/size)) },
		"two children are one page":                  func(b []byte) { copy(b[branch+pageHeader+8:branch+pageHeader+16], b[branch+pageHeader+24:]) },
		"a child is beyond the end":                  func(b []byte) { order.PutUint64(b[branch+pageHeader+8:], 1<<40) },
		"a branch has no children":                   func(b []byte) { order.PutUint16(b[branch+10:], 0) },
		"a leaf has more elements than fit":          func(b []byte) { order.PutUint16(b[leaf+10:], 0xFFFF) },
		"an element reaches out of its page":         func(b []byte) { order.PutUint32(b[leaf+pageHeader+12:], 1<<31) },
		"a page goes on beyond the end":              func(b []byte) { order.PutUint32(b[leaf+12:], 1<<31) },
		"a leaf says that it is a branch":            func(b []byte) { order.PutUint16(b[leaf+8:], branchPage) },
		"a leaf is of two kinds":                     func(b []byte) { order.PutUint16(b[leaf+8:], branchPage|leafPage) },
		"a leaf says that it is another page":        func(b []byte) { order.PutUint64(b[leaf:], 2) },
		"a page in use is on the list of free ones":  func(b []byte) { order.PutUint64(b[free+pageHeader:], uint64(leaf/size)) },
		"a page beyond the end is on it":             func(b []byte) { order.PutUint64(b[free+pageHeader:], 1<<40) },
		"a page is on it twice":                      func(b []byte) { copy(b[free+pageHeader:free+pageHeader+8], b[free+pageHeader+8:]) },
		"a branch's key is not that of its child":    func(b []byte) { b[keyAt(b, branch)]++ },
		"two keys of a leaf are in the wrong order":  func(b []byte) { swapElements(b, leaf) },
		"a page is missing from it":                  func(b []byte) { order.PutUint16(b[free+10:], order.Uint16(b[free+10:])-1) },
		"the file is cut":                            func(b []byte) { clear(b[leaf:]) },
		"the list says that it has more than it has": func(b []byte) { order.PutUint16(b[free+10:], 0xFFFE) },
	} {
		b := slices.Clone(whole)
		change(b)
		detected, err := examine(t, filepath.Join(t.TempDir(), "astray.db"), b, m)
		if !detected {
			t.Errorf("%s: it is not found: %v", name, err)
		}
	}
}

// Pages that are damaged while the index is open, after its scrub: whatever bbolt
// makes of them, every call returns, also the last one.
func TestDamageUnderAnOpenIndexBlocksNobody(t *testing.T) {
	for name, fill := range map[string]byte{"zeroes": 0, "ones": 0xFF} {
		for _, kind := range []uint16{branchPage, leafPage, freePages} {
			path, m := filled(t, 2000)
			ix := open(t, path)
			if err := ix.Scrub(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
			wipe(t, path, kind, fill)
			done := make(chan error, 1)
			go func() {
				_ = m.check(ix)
				var errs []error
				for range 3 {
					runs := []Run{m.add("job-0000", 1, true), m.add("zzz", 1, true), m.add(eventstore.StreamID(fmt.Sprintf("new-%d", m.head)), 1, true)}
					errs = append(errs, ix.Write(runs, Checkpoint{Position: m.head}))
				}
				errs = append(errs, ix.Scrub(context.Background(), nil))
				_ = ix.Close()
				done <- errors.Join(errs...)
			}()
			select {
			case err := <-done:
				if err == nil {
					t.Errorf("%s over pages of kind %#x: nothing is found", name, kind)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s over pages of kind %#x: a call does not return", name, kind)
			}
		}
	}
}

// wipe writes over all pages of a kind, in the file that is mapped.
func wipe(t *testing.T, path string, kind uint16, fill byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	size := os.Getpagesize()
	page := make([]byte, size)
	for at := int64(2 * size); ; at += int64(size) {
		if _, err := f.ReadAt(page, at); err != nil {
			return
		}
		if order.Uint16(page[8:]) != kind {
			continue
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte{fill}, size), at); err != nil {
			t.Fatal(err)
		}
	}
}

// keyAt returns where the last byte of a branch's second key is.
func keyAt(b []byte, branch int) int {
	at := branch + pageHeader + elementSize
	return at + int(order.Uint32(b[at:])) + int(order.Uint32(b[at+4:])) - 1
}

// swapElements swaps the first two elements of a leaf, keys and values of which
// are as long.
func swapElements(b []byte, leaf int) {
	first := b[leaf+pageHeader:][:elementSize]
	second := b[leaf+pageHeader+elementSize:][:elementSize]
	one, two := order.Uint32(first[4:]), order.Uint32(second[4:])
	order.PutUint32(first[4:], two+elementSize)
	order.PutUint32(second[4:], one-elementSize)
}

// bytesInUse returns the offsets of all bytes of pages that hold something, and
// where the last page ends.
func bytesInUse(t *testing.T, path string) (out []int, end int64) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	size := db.Info().PageSize
	err = db.View(func(tx *bbolt.Tx) error {
		end = tx.Size()
		for i := 0; ; i++ {
			p, err := tx.Page(i)
			if err != nil || p == nil {
				return err
			}
			if p.Type == "free" {
				continue
			}
			for k := range size * (1 + p.OverflowCount) {
				out = append(out, i*size+k)
			}
			i += p.OverflowCount
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, end
}
