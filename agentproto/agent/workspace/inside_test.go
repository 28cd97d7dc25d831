package workspace

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestARemovalStopsWithItsAgent(t *testing.T) {
	p, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	folder, err := p.Take()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder.Path+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.remove(ctx, folder.name); err != nil {
		t.Errorf("it complains: %v", err)
	}
	if _, err := os.Stat(folder.Path + "/file"); err != nil {
		t.Error("it went on")
	}
}

func TestMountsAreToldApartOnOldKernelsToo(t *testing.T) {
	seen := map[uint64]bool{}
	for _, path := range []string{"/", "/proc"} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		mount, err := mountOf(descriptor(f))
		old, errOld := mountByInfo(descriptor(f))
		if err != nil || errOld != nil || mount != old || seen[mount] {
			t.Errorf("%s: %d and %d, %v, %v", path, mount, old, err, errOld)
		}
		seen[mount] = true
	}
}

// TestWhatStaysIsTriedAgainNowAndThen: soon at first, then once an hour; what was
// given back meanwhile doesn't wait for it, and what is gone is left alone.
func TestWhatStaysIsTriedAgainNowAndThen(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex // of what follows
		tries, said, stays := map[string]int{}, 0, true
		set := func(to bool) { mu.Lock(); stays = to; mu.Unlock() }
		p.Report = func(error) { mu.Lock(); said++; mu.Unlock() }
		p.rid = func(_ context.Context, name string) error {
			mu.Lock()
			defer mu.Unlock()
			tries[name]++
			if stays && name != "other" {
				return errors.New("it stays")
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan struct{})
		go func() { p.Run(ctx); close(ran) }()
		defer func() { cancel(); <-ran }()
		expect := func(after time.Duration, name string, least, most int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if n := tries[name]; n < least || n > most {
				t.Errorf("after %v %s was tried %d times, not %d to %d", after, name, n, least, most)
			}
			clear(tries)
		}
		p.used <- "a"
		p.used <- "b"
		expect(0, "a", 1, 1)
		expect(10*time.Minute, "a", 2, 4)
		expect(24*time.Hour, "b", 24, 30)
		p.used <- "other"
		expect(0, "other", 1, 1)
		mu.Lock()
		if said != 2 {
			t.Errorf("it was reported %d times", said)
		}
		mu.Unlock()
		set(false)
		expect(time.Hour, "a", 1, 1)
		expect(24*time.Hour, "b", 0, 0)
		set(true)
		p.used <- "c"
		expect(0, "c", 1, 1)
		expect(time.Minute, "c", 1, 1) // soon again
		for range 2 * maxStuck {
			p.used <- "many"
			synctest.Wait()
		}
		mu.Lock()
		clear(tries)
		mu.Unlock()
		expect(time.Hour, "many", 4*(maxStuck-1), 6*maxStuck) // twice as many, if they had no bound
	})
}
