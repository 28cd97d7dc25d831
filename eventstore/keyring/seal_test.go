package keyring

import (
	"bytes"
	"errors"
	"testing"
)

func TestWhatIsSealedOpensForItsOwnThingAlone(t *testing.T) {
	f := open(t, t.TempDir())
	a, b := createKey(t, f, "a"), createKey(t, f, "b")
	plain := []byte("correct horse")
	sealed, err := a.Seal(plain, []byte("job 1"))
	if err != nil || len(sealed) != len(plain)+SealedOverhead || bytes.Contains(sealed, plain) {
		t.Fatalf("%q, %v", sealed, err)
	}
	if got, err := a.Open(sealed, []byte("job 1")); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := b.Open(sealed, []byte("job 1")); !errors.Is(err, ErrSealed) {
		t.Errorf("another key: %v", err)
	}
	if _, err := a.Open(sealed, []byte("job 2")); !errors.Is(err, ErrSealed) {
		t.Errorf("another thing: %v", err)
	}
	for i := range 8 * len(sealed) {
		flipped := bytes.Clone(sealed)
		flipped[i/8] ^= 1 << (i % 8)
		if _, err := a.Open(flipped, []byte("job 1")); !errors.Is(err, ErrSealed) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	for n := range sealed {
		if _, err := a.Open(sealed[:n], []byte("job 1")); !errors.Is(err, ErrSealed) {
			t.Fatalf("cut after %d: %v", n, err)
		}
	}
}
