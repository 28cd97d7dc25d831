package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"

	"go.etcd.io/bbolt"
)

// bbolt believes its pages. One that names itself among its children is followed
// for ever, until the memory or the stack is used up; one that is on the list of
// free pages is written over, whoever uses it. So a scrub goes through all pages
// first, by itself and with bounds, and only then lets bbolt look anything up.
//
// A page: id 8, flags 2, count 2, overflow 4 (pages that belong to it), then
// count elements of 16 bytes, then what they point to, counted from each element.
//
//	branch element  pos 4, ksize 4, page 8
//	leaf element    flags 4, pos 4, ksize 4, vsize 4
//	free page list  ids of 8 bytes; if count is 0xFFFF the first is the count
//	meta            16 bytes, root 8, sequence 8, free page list 8, end 8, transaction 8, …
//
// Numbers are in the byte order of the machine.
const (
	pageHeader   = 16
	elementSize  = 16
	bucketHeader = 16
	firstPage    = 2  // after the two metas
	maxDepth     = 64 // of a tree; one of a petabyte has less

	dataFlags   = 0 // of leaf elements
	bucketFlags = 1 // of those that are buckets

	branchPage = 0x01
	leafPage   = 0x02
	freePages  = 0x10
	manyFree   = 0xFFFF

	metaRoot, metaFree, metaEnd, metaTx, metaSize = 16, 32, 40, 48, 64
)

var order = binary.NativeEndian

// pages are the pages of one transaction.
type pages struct {
	file io.ReaderAt
	size int    // bytes of a page
	root uint64 // of the bucket of buckets
	free uint64 // where the list of free pages begins
	end  uint64 // no page from here on
	used []bool // by id: it has been come across
}

// pagesOf finds the meta of a read transaction. Nothing may be written meanwhile.
func pagesOf(tx *bbolt.Tx, file *os.File) (*pages, error) {
	w := &pages{file: file, size: tx.DB().Info().PageSize}
	for i := range int64(firstPage) {
		var b [metaSize]byte
		if _, err := file.ReadAt(b[:], i*int64(w.size)+pageHeader); err != nil {
			return nil, damage("meta page %d cannot be read: %v", i, err)
		}
		if order.Uint64(b[metaTx:]) == uint64(tx.ID()) {
			w.root, w.free, w.end = order.Uint64(b[metaRoot:]), order.Uint64(b[metaFree:]), order.Uint64(b[metaEnd:])
		}
	}
	info, err := file.Stat()
	if err != nil {
		return nil, damage("its size cannot be told: %v", err)
	}
	if most := uint64(info.Size()) / uint64(w.size); w.end < firstPage || w.end > most {
		return nil, damage("it should end at page %d, it has %d", w.end, most)
	}
	w.used = make([]bool, w.end)
	return w, nil
}

// read reads a page that is one of kinds, and marks it as used.
func (w *pages) read(id uint64, kinds uint16) (b []byte, kind, count uint16, err error) {
	if id < firstPage || id >= w.end {
		return nil, 0, 0, damage("page %d is not between %d and %d", id, firstPage, w.end)
	}
	var head [pageHeader]byte
	if _, err := w.file.ReadAt(head[:], int64(id)*int64(w.size)); err != nil {
		return nil, 0, 0, damage("page %d cannot be read: %v", id, err)
	}
	kind, count = order.Uint16(head[8:]), order.Uint16(head[10:])
	overflow := uint64(order.Uint32(head[12:]))
	switch {
	case order.Uint64(head[:]) != id:
		return nil, 0, 0, damage("page %d says that it is page %d", id, order.Uint64(head[:]))
	case kind != kind&kinds || kind == 0 || kind == branchPage|leafPage:
		return nil, 0, 0, damage("page %d is of kind %#x", id, kind)
	case overflow >= w.end-id:
		return nil, 0, 0, damage("page %d goes on for %d pages, beyond the end", id, overflow)
	}
	for p := id; p <= id+overflow; p++ {
		if err := w.take(p); err != nil {
			return nil, 0, 0, err
		}
	}
	b = make([]byte, (1+overflow)*uint64(w.size))
	if _, err := w.file.ReadAt(b, int64(id)*int64(w.size)); err != nil {
		return nil, 0, 0, damage("page %d cannot be read: %v", id, err)
	}
	return b, kind, count, nil
}

func (w *pages) take(id uint64) error {
	if w.used[id] {
		return damage("page %d is in two places", id)
	}
	w.used[id] = true
	return nil
}

// span is the first and the last key of a page and all below it.
type span struct{ first, last []byte }

// tree goes through the pages of a bucket. Keys must ascend, and be under the
// branch that names their first one: a look-up may well succeed elsewhere, but
// the next write would then tear the tree apart. The flags of all leaf elements
// must be flags. An empty tree has no span.
func (w *pages) tree(id uint64, flags uint32, depth int) (all span, err error) {
	if depth > maxDepth {
		return all, damage("page %d is %d levels deep", id, depth)
	}
	b, kind, count, err := w.read(id, branchPage|leafPage)
	if err != nil {
		return all, err
	}
	if pageHeader+int(count)*elementSize > len(b) || kind == branchPage && count == 0 {
		return all, damage("page %d has %d elements", id, count)
	}
	for i := range int(count) {
		e, err := elementAt(b, kind, i)
		if err != nil || kind == leafPage && e.flags != flags {
			return all, damage("element %d of page %d is damaged", i, id)
		}
		if kind == leafPage && flags == bucketFlags && !wholeBucket(e.value) {
			return all, damage("the bucket in element %d of page %d is damaged", i, id)
		}
		below := span{e.key, e.key}
		if kind == branchPage {
			if below, err = w.tree(e.child, flags, depth+1); err != nil {
				return all, err
			}
		}
		if !bytes.Equal(below.first, e.key) || i > 0 && bytes.Compare(all.last, e.key) >= 0 {
			return all, damage("element %d of page %d is out of order", i, id)
		}
		if all.last = below.last; i == 0 {
			all.first = below.first
		}
	}
	return all, nil
}

// wholeBucket reports whether the value of a bucket is one: its root page's id 8, a
// sequence 8, and if the id is 0, a leaf of its own right behind, as long as that
// is small.
func wholeBucket(value []byte) bool {
	if len(value) < bucketHeader {
		return false
	}
	if order.Uint64(value) != 0 {
		return true
	}
	b := value[bucketHeader:]
	if len(b) < pageHeader || order.Uint16(b[8:]) != leafPage {
		return false
	}
	count := int(order.Uint16(b[10:]))
	if pageHeader+count*elementSize > len(b) {
		return false
	}
	var before []byte
	for i := range count {
		e, err := elementAt(b, leafPage, i)
		if err != nil || e.flags != dataFlags || i > 0 && bytes.Compare(before, e.key) >= 0 {
			return false
		}
		before = e.key
	}
	return true
}

// element is one entry of a page; child is of a branch, value and flags are of a
// leaf.
type element struct {
	key, value []byte
	child      uint64
	flags      uint32
}

var errElement = errors.New("an element reaches out of its page or has no key")

func elementAt(b []byte, kind uint16, i int) (e element, err error) {
	at := pageHeader + i*elementSize
	raw := b[at : at+elementSize]
	var pos, keys, values uint32
	if kind == branchPage {
		pos, keys, e.child = order.Uint32(raw), order.Uint32(raw[4:]), order.Uint64(raw[8:])
	} else {
		e.flags, pos, keys, values = order.Uint32(raw), order.Uint32(raw[4:]), order.Uint32(raw[8:]), order.Uint32(raw[12:])
	}
	from := uint64(at) + uint64(pos)
	if keys == 0 || from+uint64(keys)+uint64(values) > uint64(len(b)) {
		return e, errElement
	}
	e.key = b[from : from+uint64(keys)]
	e.value = b[from+uint64(keys) : from+uint64(keys)+uint64(values)]
	return e, nil
}

// freeList goes through the list of free pages, after all trees: each page must
// be on it or in use, and none both.
func (w *pages) freeList() error {
	b, _, count, err := w.read(w.free, freePages)
	if err != nil {
		return err
	}
	ids, n := b[pageHeader:], uint64(count)
	if count == manyFree {
		n, ids = order.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return damage("the list of free pages has %d, more than it has room for", n)
	}
	for i := range n {
		id := order.Uint64(ids[i*8:])
		if id < firstPage || id >= w.end {
			return damage("free page %d is not between %d and %d", id, firstPage, w.end)
		}
		if err := w.take(id); err != nil {
			return err
		}
	}
	for id, used := range w.used {
		if !used && id >= firstPage {
			return damage("page %d is neither in use nor free", id)
		}
	}
	return nil
}
