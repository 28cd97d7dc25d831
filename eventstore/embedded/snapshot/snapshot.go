// Package snapshot keeps the snapshots of the embedded store: one file each.
//
//	NAME-00000000000000048213.snap
//	┌──────────────────────────────┬──────┬─────────┬──────────┬───────┬────────┬──────┬───────┐
//	│ magic "hodei snapshot 1\n" 17│ name │ version │ position │ chain │ length │ data │ CRC   │
//	│                              │ 1+n  │ 1+n     │ 8        │ 32    │ 8      │ n    │ 4     │
//	└──────────────────────────────┴──────┴─────────┴──────────┴───────┴────────┴──────┴───────┘
//
// Numbers are little endian; the checksum is CRC32C over all before it. A file is
// written beside its place, synced and renamed, so that a crash leaves it whole
// or absent. Snapshots can be rebuilt from the log: one that is damaged is
// reported and passed over. Methods are safe for concurrent use.
package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/durable"
)

const (
	magic     = "hodei snapshot 1\n"
	suffix    = ".snap"
	digits    = 20 // of the position in a file's name
	maxName   = 64 // bytes of a name and of a version
	headBytes = 8 + 32 + 8
	crcBytes  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Store is a folder of snapshots.
type Store struct {
	dir   string
	files durable.Files
	mu    sync.Mutex // one writer at a time, so that what is removed is not being written
}

// Open opens the folder, which it makes if there is none, and removes what a
// crash left unfinished.
func Open(dir string) (*Store, error) { return open(dir, durable.OS{}) }

func open(dir string, files durable.Files) (*Store, error) {
	if err := durable.MakeDir(files, dir); err != nil {
		return nil, fmt.Errorf("cannot open the snapshots: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the snapshots: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), durable.Temporary) {
			if err := files.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("cannot remove an unfinished snapshot: %w", err)
			}
		}
	}
	return &Store{dir: dir, files: files}, nil
}

// Save stores s durably, then removes all but the newest keep of its name.
func (st *Store) Save(ctx context.Context, s eventstore.Snapshot, keep int) error {
	if !validName(s.Name) || len(s.Version) > maxName {
		return fmt.Errorf("cannot save snapshot %q: a name has 1 to %d of a-z, 0-9 and -, a version up to %d bytes", s.Name, maxName, maxName)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.write(s); err != nil {
		return fmt.Errorf("cannot save snapshot %s at #%d: %w", s.Name, s.Position, err)
	}
	at, err := st.list(s.Name)
	if err != nil {
		return err
	}
	for _, p := range at[:max(0, len(at)-max(keep, 1))] {
		if err := st.files.Remove(st.path(s.Name, p)); err != nil {
			return fmt.Errorf("cannot remove an old snapshot: %w", err)
		}
	}
	return nil
}

// write puts a snapshot in place. What a crash leaves of it beside its place the
// next Open removes.
func (st *Store) write(s eventstore.Snapshot) error {
	head := encodeHead(s)
	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, s.Data)
	return durable.Replace(st.files, st.path(s.Name, s.Position), head, s.Data, binary.LittleEndian.AppendUint32(nil, sum))
}

func encodeHead(s eventstore.Snapshot) []byte {
	b := []byte(magic)
	b = append(append(b, byte(len(s.Name))), s.Name...)
	b = append(append(b, byte(len(s.Version))), s.Version...)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Position))
	b = append(b, s.Chain[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(len(s.Data)))
}

// Load returns the newest whole snapshot of that name and version at or below
// position at (0 is any) that check accepts, or ok = false. skipped says what was
// passed over because it is damaged or was not accepted.
func (st *Store) Load(ctx context.Context, name, version string, at eventstore.Position, check func(eventstore.Snapshot) error) (s eventstore.Snapshot, ok bool, skipped []error, err error) {
	positions, err := st.List(ctx, name)
	if err != nil {
		return s, false, nil, err
	}
	for _, p := range slices.Backward(positions) {
		if at > 0 && p > at {
			continue
		}
		if err := ctx.Err(); err != nil {
			return s, false, skipped, err
		}
		found, rerr := st.read(name, p)
		if rerr == nil && found.Version != version {
			continue
		}
		if rerr == nil && check != nil {
			rerr = check(found)
		}
		if rerr == nil {
			return found, true, skipped, nil
		}
		skipped = append(skipped, fmt.Errorf("snapshot %s is not used: %w", filepath.Base(st.path(name, p)), rerr))
	}
	return s, false, skipped, nil
}

func (st *Store) read(name string, p eventstore.Position) (eventstore.Snapshot, error) {
	b, err := os.ReadFile(st.path(name, p))
	if err != nil {
		return eventstore.Snapshot{}, err
	}
	s, err := decode(b)
	if err != nil {
		return s, err
	}
	if s.Name != name || s.Position != p {
		return s, fmt.Errorf("it holds snapshot %s at #%d", s.Name, s.Position)
	}
	return s, nil
}

var errDamaged = errors.New("its bytes are not what was written")

func decode(b []byte) (s eventstore.Snapshot, err error) {
	if len(b) < len(magic)+crcBytes {
		return s, errDamaged
	}
	body, sum := b[:len(b)-crcBytes], binary.LittleEndian.Uint32(b[len(b)-crcBytes:])
	if crc32.Checksum(body, castagnoli) != sum {
		return s, errDamaged
	}
	rest, ok := bytes.CutPrefix(body, []byte(magic))
	if !ok {
		return s, errors.New("it is of another format")
	}
	var name, version string
	if name, rest, ok = text(rest); !ok {
		return s, errDamaged
	}
	if version, rest, ok = text(rest); !ok || len(rest) < headBytes {
		return s, errDamaged
	}
	s.Name, s.Version = name, version
	s.Position = eventstore.Position(binary.LittleEndian.Uint64(rest))
	copy(s.Chain[:], rest[8:40])
	if s.Data = rest[headBytes:]; binary.LittleEndian.Uint64(rest[40:]) != uint64(len(s.Data)) {
		return s, errDamaged
	}
	return s, nil
}

func text(b []byte) (string, []byte, bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}

// List returns the positions of the snapshots of that name, ascending.
func (st *Store) List(_ context.Context, name string) ([]eventstore.Position, error) {
	return st.list(name)
}

func (st *Store) list(name string) ([]eventstore.Position, error) {
	entries, err := os.ReadDir(st.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list the snapshots: %w", err)
	}
	var out []eventstore.Position
	for _, e := range entries { // sorted by name, so by position
		if n, p, ok := parseName(e.Name()); ok && n == name {
			out = append(out, p)
		}
	}
	return out, nil
}

// Highest returns the highest position that a whole snapshot of any name has: the
// log must have reached it.
func (st *Store) Highest() (highest eventstore.Position, err error) {
	entries, err := os.ReadDir(st.dir)
	if err != nil {
		return 0, fmt.Errorf("cannot list the snapshots: %w", err)
	}
	type file struct {
		name string
		at   eventstore.Position
	}
	var files []file
	for _, e := range entries {
		if n, p, ok := parseName(e.Name()); ok {
			files = append(files, file{n, p})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(b.at, a.at) })
	for _, f := range files { // a damaged one proves nothing
		if f.at <= highest {
			continue
		}
		if _, err := st.read(f.name, f.at); err == nil {
			highest = f.at
		}
	}
	return highest, nil
}

func (st *Store) path(name string, p eventstore.Position) string {
	return filepath.Join(st.dir, fmt.Sprintf("%s-%0*d%s", name, digits, p, suffix))
}

func parseName(file string) (name string, p eventstore.Position, ok bool) {
	base, ok := strings.CutSuffix(file, suffix)
	if !ok || len(base) < digits+2 || base[len(base)-digits-1] != '-' {
		return "", 0, false
	}
	n, err := strconv.ParseUint(base[len(base)-digits:], 10, 64)
	name = base[:len(base)-digits-1]
	return name, eventstore.Position(n), err == nil && validName(name)
}

func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
