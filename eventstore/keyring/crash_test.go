package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// killed returns the keyring's bytes as a process leaves them that is killed with
// a few changes behind it, and where each record ends.
func killed(t *testing.T, dir, name string, changes int) (file []byte, ends []int) {
	t.Helper()
	f := open(t, dir)
	ring, _ := paths(dir)
	ends = append(ends, len(read(t, ring)))
	for i := range changes {
		createKey(t, f, fmt.Sprintf("%s-%d", name, i))
		ends = append(ends, len(read(t, ring)))
	}
	file = read(t, ring)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file, ends
}

// A kill at any moment of a write leaves what was durable before it; what was
// acknowledged is there, and the keyring is taken into use again.
func TestKilledAtEachByteOfAWrite(t *testing.T) {
	dir := t.TempDir()
	ring, _ := paths(dir)
	file, ends := killed(t, dir, "job", 3)
	for n := ends[0]; n <= len(file); n++ {
		whole := 0
		for _, end := range ends[1:] {
			if n >= end {
				whole++
			}
		}
		hole := append(bytes.Clone(file[:n]), make([]byte, len(file)-n)...)
		for what, bytes := range map[string][]byte{"cut": file[:n], "with a hole": hole} {
			if what == "with a hole" && (n < ends[2] || len(file)-n < holeBytes) {
				continue // a write is one record; a page is more than this
			}
			write(t, ring, bytes)
			f, err := OpenFile(paths(dir))
			if err != nil {
				t.Fatalf("%s after %d bytes: %v", what, n, err)
			}
			if names, _ := f.DataKeyNames(t.Context(), ""); len(names) != whole {
				t.Fatalf("%s after %d bytes it has %v, want %d keys", what, n, names, whole)
			}
			createKey(t, f, "next")
			f = again(t, f, dir)
			if names, _ := f.DataKeyNames(t.Context(), ""); len(names) != whole+1 {
				t.Fatalf("%s after %d bytes, it has %v after its next key", what, n, names)
			}
			_ = f.Close()
		}
	}
}

// Whatever bit of a keyring that was not closed is flipped is found.
func TestDamageAfterAKillIsFound(t *testing.T) {
	dir := t.TempDir()
	ring, key := paths(dir)
	file, ends := killed(t, dir, "job", 3)
	refused := func(what string, bytes []byte) {
		t.Helper()
		write(t, ring, bytes)
		var damage *DamageError
		if _, err := OpenFile(ring, key); !errors.As(err, &damage) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for i := range 8 * len(file) {
		flipped := bytes.Clone(file)
		flipped[i/8] ^= 1 << (i % 8)
		refused(fmt.Sprintf("bit %d", i), flipped)
	}
	one, two := file[ends[0]:ends[1]], file[ends[1]:ends[2]]
	refused("a record is missing", slices.Concat(file[:ends[0]], file[ends[1]:]))
	refused("two are swapped", slices.Concat(file[:ends[0]], two, one, file[ends[2]:]))
	refused("one stands there twice", slices.Concat(file[:ends[1]], one, file[ends[1]:]))
	write(t, ring, file)
	_, _ = killed(t, dir, "more", 1) // which writes it anew
	other, otherEnds := killed(t, dir, "other", 2)
	refused("one is of another file", slices.Concat(file[:ends[1]], other[otherEnds[1]:]))
}

// Many keys are made, and dropped, in one write, and all of them or none.
func TestManyKeysAreOneWrite(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	f := open(t, dir)
	before := f.records
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("job/%04d", i))
	}
	keys, err := f.CreateDataKeys(ctx, names...)
	if err != nil || f.records != before+1 {
		t.Fatalf("%d writes, %v", f.records-before, err)
	}
	for i, wrong := range [][]string{{"job/new", "job/0007"}, {"job/new", "job/new"}} {
		if _, err := f.CreateDataKeys(ctx, wrong...); err == nil {
			t.Errorf("%d: made", i)
		}
	}
	if err := f.DropDataKeys(ctx, names[:500]...); err != nil || f.records != before+2 {
		t.Fatalf("%d writes, %v", f.records-before, err)
	}
	f = again(t, f, dir)
	if got, err := f.DataKeyNames(ctx, "job/"); err != nil || !slices.Equal(got, names[500:]) {
		t.Errorf("there are %d, %v", len(got), err)
	}
	if got, err := f.DataKey(ctx, names[999]); err != nil || got != keys[999] {
		t.Errorf("the last is another key, %v", err)
	}
}

// However often keys come and go, the file does not grow without bound.
func TestTheFileIsWrittenAnewInTime(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	ring, _ := paths(dir)
	f := open(t, dir)
	blob := make([]byte, MaxBlob/2)
	var most int64
	for range 20 {
		if err := f.PutBlob(ctx, "a", blob); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(ring)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, info.Size())
	}
	if limit := int64(4 * spareBytes); most > limit {
		t.Errorf("it grew to %d bytes, more than %d", most, limit)
	}
	if got, _, err := again(t, f, dir).GetBlob(ctx, "a"); err != nil || len(got) != len(blob) {
		t.Errorf("the blob has %d bytes, %v", len(got), err)
	}
}

// A keyring of the form before is read, and damage to it is found.
func TestTheFormBeforeIsRead(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	ring, key := paths(dir)
	f := open(t, dir)
	wrap := f.wrap
	_ = f.Close()
	plain, err := json.Marshal(map[string]any{
		"signing": map[string]any{"tokens": []any{map[string]any{"id": "0123456789abcdef", "seed": make([]byte, 32)}}},
		"data":    map[string]any{"a": bytes.Repeat([]byte{7}, 32)},
		"blobs":   map[string]any{"ca": []byte("certificate")},
	})
	if err != nil {
		t.Fatal(err)
	}
	box, err := chacha20poly1305.NewX(wrap[:])
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, nonceBytes)
	old := box.Seal(slices.Concat([]byte(oldMagic), nonce), nonce, plain, []byte(oldMagic))
	flipped := bytes.Clone(old)
	flipped[len(old)-1] ^= 1
	write(t, ring, flipped)
	var damage *DamageError
	if _, err := OpenFile(ring, key); !errors.As(err, &damage) {
		t.Errorf("damage: %v", err)
	}
	write(t, ring, old)
	for range 2 { // the second time in the form of today
		f = open(t, dir)
		kid, _, err := f.SigningKey(ctx, "tokens")
		data, derr := f.DataKey(ctx, "a")
		blob, _, berr := f.GetBlob(ctx, "ca")
		if err := errors.Join(err, derr, berr); err != nil || kid != "0123456789abcdef" || data[0] != 7 || string(blob) != "certificate" {
			t.Errorf("%s %v %q %v", kid, data, blob, err)
		}
		_ = f.Close()
	}
}
