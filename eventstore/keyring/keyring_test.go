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

	"github.com/hodei-jobs/hodei/eventstore/durable"
)

func paths(dir string) (ring, key string) {
	return filepath.Join(dir, "data.keyring"), filepath.Join(dir, "data.key")
}

func open(t *testing.T, dir string) *File {
	t.Helper()
	f, err := OpenFile(paths(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// again closes a keyring and opens it anew.
func again(t *testing.T, f *File, dir string) *File {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func createKey(t *testing.T, f *File, name string) DataKey {
	t.Helper()
	keys, err := f.CreateDataKeys(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return keys[0]
}

func TestWhatIsPutSurvivesReopening(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	f := open(t, dir)
	kid, key, err := f.SigningKey(ctx, "tokens")
	if err != nil {
		t.Fatal(err)
	}
	data := createKey(t, f, "job-1")
	if err := f.PutBlob(ctx, "ca", []byte("certificate")); err != nil {
		t.Fatal(err)
	}
	f = again(t, f, dir)
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
	createKey(t, f, "job-1")
	if _, err := f.CreateDataKeys(ctx, "job-1"); err == nil {
		t.Error("a data key was replaced")
	}
	if err := f.DropDataKeys(ctx, "job-1", "none"); err != nil {
		t.Fatal(err)
	}
	var missing *MissingError
	if _, err := f.DataKey(ctx, "job-1"); !errors.As(err, &missing) {
		t.Errorf("a dropped key: %v", err)
	}
	if _, err := again(t, f, dir).DataKey(ctx, "job-1"); !errors.As(err, &missing) || missing.Name != "job-1" {
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
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
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
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(key + ".next"); err == nil {
				t.Errorf("%s: a key is left beside", name)
			}
			again, err := OpenFile(ring, key)
			if err != nil {
				t.Errorf("%s: the second time: %v", name, err)
				continue
			}
			_ = again.Close()
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	if err := f.PutBlob(context.Background(), "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	ring, key := paths(dir)
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

func TestAKeyringWithoutItsKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	ring, key := paths(dir)
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	var damage *DamageError
	for name, text := range map[string]string{
		"no key":               "",
		"another key":          strings.Repeat("5", 64),
		"half a key":           strings.Repeat("5", 32),
		"what is no key":       "hello",
		"a key with a typo":    strings.Repeat("g", 64),
		"a key and some more":  strings.Repeat("5", 66),
		"a key with a newline": "\n" + strings.Repeat("5", 64) + "\r\n",
	} {
		_ = os.Remove(key)
		if text != "" {
			write(t, key, []byte(text))
		}
		if _, err := OpenFile(ring, key); !errors.As(err, &damage) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key may be provided before the first start; later the same means that the
// keyring was lost, which only the caller can tell.
func TestAKeyringIsMadeForAKeyThatWasProvided(t *testing.T) {
	dir := t.TempDir()
	ring, key := paths(dir)
	provided := []byte(strings.Repeat("0123456789abcdef", 4))
	write(t, key, provided)
	f := open(t, dir)
	if !f.Made() || !bytes.Equal(read(t, key), provided) {
		t.Error("the key was not taken as it is")
	}
	if f = again(t, f, dir); f.Made() {
		t.Error("it was made twice")
	}
	if err := errors.Join(f.Close(), os.Remove(ring)); err != nil {
		t.Fatal(err)
	}
	if f = open(t, dir); !f.Made() {
		t.Error("nobody is told that the keyring was lost")
	}
}

func TestAKeyringIsOfOneProcess(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	var locked *LockedError
	if _, err := OpenFile(paths(dir)); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("opened twice: %v", err)
	}
	again(t, f, dir)
}

func TestAClosedKeyringAnswersThat(t *testing.T) {
	ctx := context.Background()
	f := open(t, t.TempDir())
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	_, _, sign := f.SigningKey(ctx, "tokens")
	_, rotate := f.RotateSigningKey(ctx, "tokens")
	_, verify := f.VerifyKeys(ctx, "tokens")
	_, create := f.CreateDataKeys(ctx, "a")
	_, names := f.DataKeyNames(ctx, "")
	_, data := f.DataKey(ctx, "a")
	_, _, blob := f.GetBlob(ctx, "a")
	for i, err := range []error{sign, rotate, verify, create, names, data, f.DropDataKeys(ctx, "a"), blob, f.PutBlob(ctx, "a", nil), f.Rotate(ctx)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d is answered %v", i, err)
		}
	}
}

func TestNamesAndBlobsHaveLimits(t *testing.T) {
	ctx := context.Background()
	f := open(t, t.TempDir())
	if _, _, err := f.SigningKey(ctx, strings.Repeat("p", MaxName)); err != nil {
		t.Error(err)
	}
	if err := f.PutBlob(ctx, "b", make([]byte, MaxBlob)); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", strings.Repeat("p", MaxName+1)} {
		_, _, sign := f.SigningKey(ctx, name)
		_, rotate := f.RotateSigningKey(ctx, name)
		_, create := f.CreateDataKeys(ctx, "good", name)
		for i, err := range []error{sign, rotate, create, f.PutBlob(ctx, name, nil)} {
			if err == nil {
				t.Errorf("call %d took a name of %d bytes", i, len(name))
			}
		}
	}
	if err := f.PutBlob(ctx, "c", make([]byte, MaxBlob+1)); err == nil {
		t.Error("a blob beyond the limit was taken")
	}
}

// A change that can't be written changes nothing, also not what is in memory; and
// once it can be, the next one is.
func TestAFailedWriteChangesNothing(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	ring, _ := paths(dir)
	f := open(t, dir)
	if err := f.PutBlob(ctx, "a", []byte("before")); err != nil {
		t.Fatal(err)
	}
	if err := f.file.Close(); err != nil { // so that writing behind it fails
		t.Fatal(err)
	}
	obstacle := filepath.Join(ring+durable.Temporary, "x") // a folder that isn't empty can't be removed
	if err := os.MkdirAll(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time the file would be written anew
		if err := f.PutBlob(ctx, "a", []byte("after")); err == nil {
			t.Error("it was written")
		}
	}
	if err := f.Rotate(ctx); err == nil {
		t.Error("it was sealed anew")
	}
	if err := os.RemoveAll(ring + durable.Temporary); err != nil {
		t.Fatal(err)
	}
	if got, _, err := f.GetBlob(ctx, "a"); err != nil || string(got) != "before" {
		t.Errorf("the blob is %q, %v", got, err)
	}
	if err := f.PutBlob(ctx, "b", []byte("now")); err != nil {
		t.Error(err)
	}
	f = again(t, f, dir)
	for name, want := range map[string]string{"a": "before", "b": "now"} {
		if got, _, err := f.GetBlob(ctx, name); err != nil || string(got) != want {
			t.Errorf("blob %s is %q, %v", name, got, err)
		}
	}
}

// Many make keys and read them at once: each gets what was made, nobody waits
// for a write that isn't theirs to read what is there, and all of it is durable.
func TestManyAtOnce(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	f := open(t, dir)
	const callers = 12
	var all sync.WaitGroup
	kids, keys := make([]string, callers), make([]DataKey, callers)
	for i := range callers {
		all.Go(func() {
			var errs [4]error
			name := fmt.Sprintf("job-%d", i)
			made, err := f.CreateDataKeys(ctx, name)
			if errs[0] = err; err == nil {
				keys[i] = made[0]
			}
			kids[i], _, errs[1] = f.SigningKey(ctx, "tokens")
			got, err := f.DataKey(ctx, name)
			if errs[2] = err; got != keys[i] {
				t.Errorf("%s is another key", name)
			}
			if i%4 == 0 {
				errs[3] = f.Rotate(ctx)
			}
			if err := errors.Join(errs[:]...); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	f = again(t, f, dir)
	for i := range callers {
		if got, err := f.DataKey(ctx, fmt.Sprintf("job-%d", i)); err != nil || got != keys[i] {
			t.Errorf("job-%d is another key, %v", i, err)
		}
		if kids[i] != kids[0] {
			t.Error("there are two first signing keys")
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
