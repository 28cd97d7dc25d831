package durable_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore/durable"
	"github.com/hodei-jobs/hodei/eventstore/durable/durabletest"
)

// runVolatile makes a folder in folders that are not there and replaces a file in
// it again and again. What fails in a sync is tried again. Known is the file's
// last content that is sure, a number.
func runVolatile(v *durabletest.Volatile) error {
	dir := filepath.Join(v.Root, "a", "b", "c")
	for v.Known < 3 {
		err := makeFolder(v, dir)
		if err == nil {
			err = replaceFile(v, filepath.Join(dir, "file"), v.Known+1)
		}
		if err == nil {
			v.Known++
		} else if !errors.Is(err, durabletest.ErrSync) {
			return err
		}
	}
	return nil
}

// The control names those who sync.
func makeFolder(v *durabletest.Volatile, dir string) error { return durable.MakeDir(v, dir) }

func replaceFile(v *durabletest.Volatile, path string, n uint64) error {
	return durable.Replace(v, path, fmt.Append(nil, n), []byte("\n"))
}

var power = durabletest.Power{Tries: 4, Run: runVolatile, Check: func(v *durabletest.Volatile, dir string) error {
	path := filepath.Join(dir, "a", "b", "c", "file")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && v.Known == 0 {
		return nil
	}
	n := strings.TrimSpace(string(text))
	if err == nil && n != fmt.Sprint(v.Known) && n != fmt.Sprint(v.Known+1) {
		err = fmt.Errorf("it has %q, %d is sure", text, v.Known)
	}
	return err
}}

func TestThePowerIsCutAtEachStep(t *testing.T) { power.AtEachStep(t) }

func TestThePowerIsCutAfterAFailedSync(t *testing.T) { power.AfterAFailedSync(t, 1) }

func TestEachSyncIsNeeded(t *testing.T) { power.EachSyncIsNeeded(t, 3) }

func TestAFailedReplaceLeavesOneFileOrTheOther(t *testing.T) {
	for _, how := range []durabletest.How{durabletest.Nothing, durabletest.Half, durabletest.All} {
		for at, failed := 1, true; failed; at++ {
			path := filepath.Join(durabletest.Memory(t), "file")
			disk := &durabletest.Faulty{Err: unix.EIO, How: how}
			if err := durable.Replace(disk, path, []byte("before")); err != nil {
				t.Fatal(err)
			}
			disk.Steps, disk.At = 0, at
			err := durable.Replace(disk, path, []byte("after"))
			failed = disk.Steps >= at
			text, readErr := os.ReadFile(path)
			if got := string(text); readErr != nil || failed != (err != nil) || got != "before" && got != "after" || !failed && got != "after" {
				t.Errorf("step %d, how %d: %v, it has %q, %v", at, how, err, got, readErr)
			}
			disk.At = 0
			if err := durable.Replace(disk, path, []byte("again")); err != nil {
				t.Errorf("step %d, how %d: the next time: %v", at, how, err)
			}
		}
	}
}
