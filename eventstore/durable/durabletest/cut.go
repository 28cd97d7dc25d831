package durabletest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// State is what is on a disk: bytes by path below a root; nil for a folder.
type State map[string][]byte

// Write writes a state to a folder, which must not be there.
func (s State) Write(to string) error {
	err := os.MkdirAll(to, 0o700)
	for _, path := range slices.Sorted(maps.Keys(s)) { // folders before what is in them
		if err != nil {
			return err
		}
		if s[path] == nil {
			err = os.Mkdir(filepath.Join(to, path), 0o700)
		} else {
			err = os.WriteFile(filepath.Join(to, path), s[path], 0o600)
		}
	}
	return err
}

// Digest tells states apart.
func (s State) Digest() [32]byte {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(s)) {
		_, _ = fmt.Fprintf(h, "%q %t %x\n", path, s[path] == nil, s[path])
	}
	return [32]byte(h.Sum(nil))
}

// After returns what is on disk after the power was cut now. Of what was not
// synced, names and bytes, kept is asked by name whether it is there all the same.
func (v *Volatile) After(kept func(name string) bool) (State, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begin()
	now := make(map[int][]byte)
	err := filepath.WalkDir(v.Root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			now[v.id(path, false)], err = os.ReadFile(path)
		}
		return err
	})
	left := make(State)
	if err == nil {
		v.after(left, v.id(v.Root, false), "", now, kept)
	}
	return left, err
}

func (v *Volatile) after(left State, id int, dir string, bytes map[int][]byte, kept func(name string) bool) {
	found, current := maps.Clone(v.entries[id]), names{}
	if found == nil {
		found = make(names)
	}
	if at := filepath.Join(v.Root, dir); v.id(at, false) == id { // it is still where it was
		current, _ = v.list(at)
	}
	for _, name := range slices.Sorted(maps.Keys(current)) {
		if found[name] != current[name] && kept(name) {
			found[name] = current[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.entries[id])) {
		if current[name] == 0 && kept(name) {
			delete(found, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		id, path := found[name], filepath.Join(dir, name)
		info, err := os.Stat(filepath.Join(v.Root, path))
		_, folder := v.entries[id]
		if folder || err == nil && info.IsDir() && current[name] == id {
			left[path] = nil
			v.after(left, id, path, bytes, kept)
			continue
		}
		data := v.bytes[id]
		if now, ok := bytes[id]; ok && kept(name) {
			data = now
		}
		left[path] = append([]byte{}, data...)
	}
}

// Cut runs run on a disk and cuts the power before each of its steps, and after
// the last. Of what was not synced then nothing is there, or some of it, in as
// many ways as tries says. Each state is given to check, in a folder, once for each
// value of Known; Cut returns the first error. Before the sync that fails, if one does, nothing is
// cut. Check is called while run waits.
func Cut(t testing.TB, v *Volatile, tries int, run func(*Volatile) error, check func(dir string) error) error {
	t.Helper()
	v.Root = Memory(t)
	root := Memory(t)
	type moment struct {
		state [32]byte
		known uint64
	}
	seen := make(map[moment]bool)
	var found error
	steps := 0
	v.Before = func() {
		steps++
		for try := 0; try < tries && found == nil && v.Syncs >= v.FailSync; try++ {
			random := rand.New(rand.NewPCG(uint64(steps), uint64(try)))
			state, err := v.After(func(string) bool { return try > 0 && random.IntN(2) == 0 })
			if err != nil {
				t.Fatal(err)
			}
			now := moment{state.Digest(), v.Known}
			if seen[now] {
				continue
			}
			seen[now] = true
			dir := filepath.Join(root, fmt.Sprintf("%d-%d", steps, try))
			if err := state.Write(dir); err != nil {
				t.Fatal(err)
			}
			if err := check(dir); err != nil {
				found = fmt.Errorf("the power is cut before step %d, try %d: %w", steps, try, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := run(v); err != nil {
		t.Fatal(err)
	}
	v.Before()
	return found
}

// Memory returns a folder that takes no disk's time, where there is one.
func Memory(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "hodei-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
