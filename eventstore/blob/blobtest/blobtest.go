// Package blobtest proves that a store of objects keeps the contract of
// [blob.Store]. Each adapter's tests call [Run].
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/hodei-jobs/hodei/eventstore/blob"
)

// Run proves the contract with stores that open returns, each of them empty.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, blob.Store)
	}{
		{"what was put is read", putAndGet},
		{"a range is read", ranges},
		{"a second put replaces", replace},
		{"create fails on an object that is there", create},
		{"one of many creates wins", race},
		{"what is missing is not found", missing},
		{"a list has what begins with the prefix", list},
		{"what is no key is refused", keys},
		{"a body that fails or lies leaves nothing", badBodies},
		{"a context that ended is an error", ended},
		{"random use agrees with a map", agrees},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// Put stores data and fails the test if that fails.
func Put(t *testing.T, s blob.Store, key string, data []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, bytes.NewReader(data), blob.Options{Size: int64(len(data))}); err != nil {
		t.Fatalf("cannot put %s: %v", key, err)
	}
}

// Get reads a whole object.
func Get(t *testing.T, s blob.Store, key string) []byte {
	t.Helper()
	data, err := s.Get(t.Context(), key, 0, blob.MaxGet)
	if err != nil {
		t.Fatalf("cannot get %s: %v", key, err)
	}
	return data
}

// Keys lists what begins with the prefix, sorted.
func Keys(t *testing.T, s blob.Store, prefix string) []string {
	t.Helper()
	found := []string{}
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("cannot list %q: %v", prefix, err)
		}
		found = append(found, info.Key)
	}
	slices.Sort(found)
	return found
}

func putAndGet(t *testing.T, s blob.Store) {
	for _, size := range []int{0, 1, 4096, 300_000, 7 << 20} {
		data := random(size)
		for _, said := range []int64{int64(size), blob.UnknownSize} {
			key := fmt.Sprintf("some/folder/object-%d.%d", size, said+1)
			// A reader that can only read, and in odd portions.
			err := s.Put(t.Context(), key, iotest.HalfReader(bytes.NewReader(data)), blob.Options{Size: said})
			if err != nil {
				t.Fatalf("cannot put %d bytes, said to be %d: %v", size, said, err)
			}
			if got := Get(t, s, key); !bytes.Equal(got, data) {
				t.Errorf("of %d bytes, %d came back, or others", size, len(got))
			}
			info, err := s.Stat(t.Context(), key)
			if err != nil || info.Key != key || info.Size != int64(size) || info.Modified.IsZero() {
				t.Errorf("stat says %+v, %v", info, err)
			}
		}
	}
}

func ranges(t *testing.T, s blob.Store) {
	data := random(1000)
	Put(t, s, "a", data)
	for _, r := range []struct{ offset, n, want int }{
		{0, 0, 0}, {0, 1, 1}, {0, 1000, 1000}, {0, 2000, 1000}, {500, 100, 100},
		{999, 1, 1}, {999, 5, 1}, {1000, 1, 0}, {5000, 1, 0}, {10, 0, 0},
	} {
		got, err := s.Get(t.Context(), "a", int64(r.offset), r.n)
		if err != nil || len(got) != r.want || r.want > 0 && !bytes.Equal(got, data[r.offset:r.offset+r.want]) {
			t.Errorf("%d bytes from %d: got %d, want %d, %v", r.n, r.offset, len(got), r.want, err)
		}
	}
	for _, r := range []struct {
		offset int64
		n      int
	}{{-1, 1}, {0, -1}, {0, blob.MaxGet + 1}} {
		if _, err := s.Get(t.Context(), "a", r.offset, r.n); err == nil {
			t.Errorf("%d bytes from %d are no error", r.n, r.offset)
		}
	}
}

func replace(t *testing.T, s blob.Store) {
	Put(t, s, "x/y", []byte("the first, which is longer"))
	Put(t, s, "x/y", []byte("the second"))
	if got := Get(t, s, "x/y"); string(got) != "the second" {
		t.Errorf("read %q", got)
	}
}

func create(t *testing.T, s blob.Store) {
	for _, size := range []int64{5, blob.UnknownSize} {
		key := fmt.Sprintf("c/%d", size+1)
		for i, want := range []error{nil, blob.ErrExists, blob.ErrExists} {
			body := []string{"first", "other", "third"}[i]
			err := s.Put(t.Context(), key, strings.NewReader(body), blob.Options{Size: size, Create: true})
			if !errors.Is(err, want) {
				t.Errorf("try %d with size %d: %v, want %v", i+1, size, err, want)
			}
		}
		if got := Get(t, s, key); string(got) != "first" {
			t.Errorf("read %q", got)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), key, strings.NewReader("again"), blob.Options{Size: 5, Create: true}); err != nil {
			t.Errorf("after it was deleted: %v", err)
		}
	}
}

func race(t *testing.T, s blob.Store) {
	const racers = 8
	var all sync.WaitGroup
	errs := make([]error, racers)
	for i := range racers {
		all.Go(func() {
			body := bytes.Repeat([]byte{byte('a' + i)}, 1000)
			errs[i] = s.Put(t.Context(), "race", bytes.NewReader(body), blob.Options{Size: 1000, Create: true})
		})
	}
	all.Wait()
	got, won := Get(t, s, "race"), 0
	for i, err := range errs {
		switch {
		case err == nil:
			won++
			if got[0] != byte('a'+i) {
				t.Errorf("racer %d won, %q is stored", i, got[0])
			}
		case !errors.Is(err, blob.ErrExists):
			t.Errorf("racer %d: %v", i, err)
		}
	}
	if won != 1 || len(got) != 1000 {
		t.Errorf("%d won; %d bytes are stored", won, len(got))
	}
}

func missing(t *testing.T, s blob.Store) {
	Put(t, s, "a/b", []byte("x"))
	for _, key := range []string{"b", "a", "a/c", "a/b/c"} {
		if _, err := s.Get(t.Context(), key, 0, 1); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("get %s: %v", key, err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("stat %s: %v", key, err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	if err := s.Delete(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a/b", 0, 1); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("after its deletion: %v", err)
	}
}

func list(t *testing.T, s blob.Store) {
	all := []string{"a", "ab/c", "ab/cd", "ab/d/e", "abc/x", "b"}
	for _, key := range all {
		Put(t, s, key, []byte(key))
	}
	for prefix, want := range map[string][]string{
		"": all, "a": all[:5], "ab": all[1:5], "ab/": all[1:4], "ab/c": all[1:3], "ab/d": {"ab/d/e"}, "b": {"b"}, "c": {}, "ab/x/": {},
	} {
		if got := Keys(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("with prefix %q: %v, want %v", prefix, got, want)
		}
	}
	for info, err := range s.List(t.Context(), "ab/d/") {
		if err != nil || info.Size != 6 || info.Modified.IsZero() {
			t.Errorf("listed as %+v, %v", info, err)
		}
	}
	for range s.List(t.Context(), "") {
		break // a reader may leave
	}
}

func keys(t *testing.T, s blob.Store) {
	for _, key := range []string{
		"", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/../b", "a/..", ".tmp/1", "a/.b", "A", "a b", "ä", "a\x00", "a\\b",
		strings.Repeat("x", blob.MaxKey+1),
	} {
		err := s.Put(t.Context(), key, strings.NewReader("x"), blob.Options{Size: 1})
		_, getErr := s.Get(t.Context(), key, 0, 1)
		_, statErr := s.Stat(t.Context(), key)
		for _, err := range []error{err, getErr, statErr, s.Delete(t.Context(), key)} {
			if !errors.Is(err, blob.ErrKey) {
				t.Errorf("%q gets %v", key, err)
			}
		}
	}
	for _, prefix := range []string{"..", "../", "a/../", "/", "A"} {
		for _, err := range s.List(t.Context(), prefix) {
			if !errors.Is(err, blob.ErrKey) {
				t.Errorf("a list of %q gets %v", prefix, err)
			}
		}
	}
}

func badBodies(t *testing.T, s blob.Store) {
	broken := errors.New("broken")
	body := func() io.Reader { return io.MultiReader(bytes.NewReader(random(9000)), iotest.ErrReader(broken)) }
	for _, size := range []int64{10_000, blob.UnknownSize} {
		if err := s.Put(t.Context(), "bad", body(), blob.Options{Size: size}); !errors.Is(err, broken) {
			t.Errorf("a body that fails gets %v", err)
		}
	}
	if err := s.Put(t.Context(), "bad", strings.NewReader("short"), blob.Options{Size: 6}); err == nil {
		t.Error("a body that is too short is taken")
	}
	if got := Keys(t, s, ""); len(got) > 0 {
		t.Errorf("there are %v", got)
	}
}

func ended(t *testing.T, s blob.Store) {
	Put(t, s, "a", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "b", strings.NewReader("x"), blob.Options{Size: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("put gets %v", err)
	}
	if _, err := s.Stat(t.Context(), "b"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the object is there: %v", err)
	}
}

// agrees uses the store at random and compares it with a map.
func agrees(t *testing.T, s blob.Store) {
	r, want := rand.New(rand.NewPCG(1, 2)), map[string][]byte{}
	names := []string{"a", "b/c", "b/d", "b/e/f", "g-1", "g-2"}
	for range 200 {
		key := names[r.IntN(len(names))]
		switch r.IntN(5) {
		case 0, 1:
			want[key] = random(r.IntN(5000))
			Put(t, s, key, want[key])
		case 2:
			delete(want, key)
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		case 3:
			got, err := s.Get(t.Context(), key, 0, blob.MaxGet)
			if data, ok := want[key]; ok != (err == nil) || !bytes.Equal(got, data) {
				t.Fatalf("%s: %d bytes, %v; want %d, %t", key, len(got), err, len(data), ok)
			}
		case 4:
			if got, want := Keys(t, s, ""), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
				t.Fatalf("list has %v, want %v", got, want)
			}
		}
	}
}

func random(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}
