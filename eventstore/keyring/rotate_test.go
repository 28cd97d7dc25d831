package keyring

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore/durable/durabletest"
)

// failing calls do with a disk whose step at fails, and returns whether it came to
// that. What follows is on a sound disk.
func failing(disk *durabletest.Faulty, at int, do func() error) (failed bool, err error) {
	disk.Steps, disk.At = 0, at
	err = do()
	failed = at > 0 && disk.Steps >= at
	disk.At = 0
	return failed, err
}

// Two rotations in a row fail, each at any step, and a change comes between them
// or not. Then the process is killed: what is on disk opens and has every key. If
// it isn't killed, the next rotation works.
func TestRotationsThatFailOneAfterTheOther(t *testing.T) {
	for _, how := range []durabletest.How{durabletest.Nothing, durabletest.All} {
		for _, between := range []bool{false, true} {
			for first, more := 1, true; more; first++ {
				for second, inner := 1, true; inner; second++ {
					name := fmt.Sprintf("how %d, change between %v, steps %d and %d", how, between, first, second)
					more, inner = failTwice(t, name, how, between, first, second)
				}
			}
		}
	}
}

func failTwice(t *testing.T, name string, how durabletest.How, between bool, first, second int) (one, two bool) {
	t.Helper()
	ctx, dir := context.Background(), durabletest.Memory(t)
	ring, key := paths(dir)
	disk := &durabletest.Faulty{Err: unix.EIO, How: how}
	f, err := openOn(disk, ring, key)
	if err != nil {
		t.Fatal(err)
	}
	want := []DataKey{createKey(t, f, "0")}
	one, _ = failing(disk, first, func() error { return f.Rotate(ctx) })
	if between {
		want = append(want, createKey(t, f, "1"))
	}
	two, _ = failing(disk, second, func() error { return f.Rotate(ctx) })
	kill(f)
	holds(t, name, dir, want)
	if f, err = openOn(disk, ring, key); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	_, _ = failing(disk, second, func() error { return f.Rotate(ctx) })
	old := f.wrap
	if err := f.Rotate(ctx); err != nil || f.wrap == old {
		t.Fatalf("%s: the next one: %v", name, err)
	}
	kill(f)
	holds(t, name, dir, want)
	return one, two
}

func holds(t *testing.T, name, dir string, want []DataKey) {
	t.Helper()
	ring, key := paths(dir)
	f, err := openOn(new(durabletest.Faulty), ring, key)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for i, key := range want {
		got, kerr := f.DataKey(context.Background(), fmt.Sprint(i))
		if kerr != nil || got != key {
			err = errors.Join(err, fmt.Errorf("key %d: another one, or %w", i, kerr))
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
