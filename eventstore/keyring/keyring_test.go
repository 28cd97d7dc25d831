package keyring

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T, dir string) *File {
	t.Helper()
	f, err := OpenFile(filepath.Join(dir, "data.keyring"), filepath.Join(dir, "data.key"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWhatIsPutSurvivesReopening(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	f := open(t, dir)
	kid, key, err := f.SigningKey(ctx, "tokens")
	if err != nil {
		t.Fatal(err)
	}
	data, err := f.CreateDataKey(ctx, "job-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.PutBlob(ctx, "ca", []byte("certificate")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	f = open(t, dir)
	kid2, key2, err := f.SigningKey(ctx, "tokens")
	if err != nil || kid2 != kid || !key.Equal(key2) {
		t.Errorf("the signing key is another: %v", err)
	}
	if got, err := f.DataKey(ctx, "job-1"); err != nil || got != data {
		t.Errorf("the data key is another: %v", err)
	}
	if got, ok, err := f.GetBlob(ctx, "ca"); err != nil || !ok || string(got) != "certificate" {
		t.Errorf("the blob is %q, %v, %v", got, ok, err)
	}
}

func TestARotatedSigningKeyStillVerifies(t *testing.T) {
	ctx := context.Background()
	f := open(t, t.TempDir())
	kid, key, err := f.SigningKey(ctx, "tokens")
	if err != nil {
		t.Fatal(err)
	}
	signature := ed25519.Sign(key, []byte("message"))
	newKid, err := f.RotateSigningKey(ctx, "tokens")
	if err != nil {
		t.Fatal(err)
	}
	now, _, err := f.SigningKey(ctx, "tokens")
	if err != nil || now != newKid || now == kid {
		t.Errorf("signs with %s, want the new %s: %v", now, newKid, err)
	}
	keys, err := f.VerifyKeys(ctx, "tokens")
	if err != nil || len(keys) != 2 || !ed25519.Verify(keys[kid], []byte("message"), signature) {
		t.Errorf("the older key does not verify any more: %v", err)
	}
}

func TestADroppedDataKeyIsMissing(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	f := open(t, dir)
	if _, err := f.CreateDataKey(ctx, "job-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateDataKey(ctx, "job-1"); err == nil {
		t.Error("a data key was replaced")
	}
	if err := f.DropDataKey(ctx, "job-1"); err != nil {
		t.Fatal(err)
	}
	var missing *MissingError
	if _, err := open(t, dir).DataKey(ctx, "job-1"); !errors.As(err, &missing) || missing.Name != "job-1" {
		t.Errorf("a dropped key: %v", err)
	}
}

// After the wrapping key was rotated, a copy of the old keyring is useless with
// the key that is kept; and each point at which a crash can cut the rotation off
// leaves a pair that opens.
func TestRotationOfTheWrappingKey(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	ring, key := filepath.Join(dir, "data.keyring"), filepath.Join(dir, "data.key")
	f := open(t, dir)
	if err := f.PutBlob(ctx, "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	oldRing, oldKey := read(t, ring), read(t, key)
	if err := f.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	newRing, newKey := read(t, ring), read(t, key)
	for name, row := range map[string]struct {
		ring, key, next []byte
		opens           bool
	}{
		"cut off before the keyring was sealed anew":  {oldRing, oldKey, newKey, true},
		"cut off before the new key was in its place": {newRing, oldKey, newKey, true},
		"cut off before the rest was removed":         {newRing, newKey, newKey, true},
		"an old copy of the keyring with the new key": {oldRing, newKey, nil, false},
		"the new keyring with the old key":            {newRing, oldKey, nil, false},
	} {
		write(t, ring, row.ring)
		write(t, key, row.key)
		_ = os.Remove(key + ".next")
		if row.next != nil {
			write(t, key+".next", row.next)
		}
		f, err := OpenFile(ring, key)
		if (err == nil) != row.opens {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err == nil {
			if got, ok, _ := f.GetBlob(ctx, "a"); !ok || string(got) != "x" {
				t.Errorf("%s: the blob is %q", name, got)
			}
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	if err := f.PutBlob(context.Background(), "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	ring, key := filepath.Join(dir, "data.keyring"), filepath.Join(dir, "data.key")
	whole := read(t, ring)
	for i := range 8 * len(whole) {
		flipped := bytes.Clone(whole)
		flipped[i/8] ^= 1 << (i % 8)
		write(t, ring, flipped)
		var damage *DamageError
		if _, err := OpenFile(ring, key); !errors.As(err, &damage) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	for n := range len(whole) {
		write(t, ring, whole[:n])
		if _, err := OpenFile(ring, key); err == nil {
			t.Fatalf("cut after %d bytes it opened", n)
		}
	}
}

func TestAHalfOfThePairIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.Remove(filepath.Join(dir, "data.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(filepath.Join(dir, "data.keyring"), filepath.Join(dir, "data.key")); err == nil || !strings.Contains(err.Error(), "data.key is missing") {
		t.Errorf("without its wrapping key: %v", err)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	for _, name := range []string{"data.keyring", "data.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	k := DataKey{1, 2, 3}
	for _, verb := range []string{"%v", "%s", "%+v", "%#v"} {
		if got := fmt.Sprintf(verb, k); got != "***" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	f := open(t, dir)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			name := fmt.Sprintf("job-%d", i)
			if _, err := f.CreateDataKey(ctx, name); err != nil {
				t.Error(err)
			}
			if _, _, err := f.SigningKey(ctx, "tokens"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	f = open(t, dir)
	for i := range 16 {
		if _, err := f.DataKey(ctx, fmt.Sprintf("job-%d", i)); err != nil {
			t.Error(err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
