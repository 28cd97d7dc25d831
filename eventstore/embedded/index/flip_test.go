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
	"github.com/hodei-jobs/hodei/eventstore/durable/durabletest"
)

// filled makes an index of many streams and returns its file and its model. Pages
// are as large as said; with small ones few bytes make up trees with branches.
func filled(t testing.TB, streams, pageSize int) (string, *model) {
	t.Helper()
	path := filepath.Join(durabletest.Memory(t), "index.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: pageSize})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
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

// Every bit of a small index that is in use is flipped, some of a larger one, and
// some that are in no use. It is found by
// opening or by the scrub, or every answer is right all the same, also after more
// was written: a page in use that damage has put on the list of free ones would be
// written over. None of it ends the process or goes on for ever.
func TestEveryFlippedByteIsFoundOrHarmless(t *testing.T) {
	const smallPage = 1024 // the smallest that bbolt finds again
	for name, row := range map[string]struct{ streams, pageSize, step int }{
		"small pages": {24, smallPage, 1},
		"large pages": {120, os.Getpagesize(), 997},
	} {
		t.Run(name, func(t *testing.T) {
			path, m := filled(t, row.streams, row.pageSize)
			step := row.step
			switch {
			case os.Getenv("HODEI_LONG") != "":
				step = min(step, 8) // every byte of the large ones, too: minutes
			case testing.Short():
				step *= 8
			}
			flipEach(t, path, m, step)
		})
	}
}

// flipEach flips one of step bits in use, a different one of each byte, and then a
// bit of every 61st byte in no use.
func flipEach(t *testing.T, path string, m *model, step int) {
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used, end := bytesInUse(t, path)
	whole = whole[:end] // the rest is room to grow
	flipped := filepath.Join(durabletest.Memory(t), "flipped.db")
	found, harmless := 0, 0
	flip := func(at, bit int, inUse bool) {
		b := slices.Clone(whole)
		b[at] ^= 1 << bit
		switch detected, err := examine(t, flipped, b, m); {
		case err != nil:
			t.Fatalf("byte %d, bit %d: the scrub passed, but %v", at, bit, err)
		case !inUse:
		case detected:
			found++
		default:
			harmless++
		}
	}
	for i := 0; i < 8*len(used); i += step {
		flip(used[i/8], (i/8+i)%8, true)
	}
	inUse := make([]bool, len(whole))
	for _, at := range used {
		inUse[at] = true
	}
	for at := 0; at < len(whole); at += 61 {
		if !inUse[at] {
			flip(at, at%8, false)
		}
	}
	t.Logf("of %d bytes %d are in use: %d flips found, %d harmless", len(whole), len(used), found, harmless)
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
	path, m := filled(t, 2000, os.Getpagesize())
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
			path, m := filled(t, 2000, os.Getpagesize())
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

// bytesInUse returns the offsets of all bytes that say something: of the meta
// pages, the trees and the list of free pages; and where the last page ends.
func bytesInUse(t *testing.T, path string) (out []int, end int64) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
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
			page := whole[i*size : (i+1+p.OverflowCount)*size]
			for k := range usedOf(t, page) {
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

// usedOf returns how many bytes of a page say something.
func usedOf(t *testing.T, page []byte) int {
	t.Helper()
	kind, count := order.Uint16(page[8:]), int(order.Uint16(page[10:]))
	switch kind {
	case freePages:
		return pageHeader + 8*count
	case branchPage, leafPage:
		used := pageHeader + count*elementSize
		for i := range count {
			e := page[pageHeader+i*elementSize:]
			end := pageHeader + i*elementSize
			if kind == branchPage {
				end += int(order.Uint32(e) + order.Uint32(e[4:]))
			} else {
				end += int(order.Uint32(e[4:]) + order.Uint32(e[8:]) + order.Uint32(e[12:]))
			}
			used = max(used, end)
		}
		return used
	}
	return pageHeader + metaSize
}
