package embedded

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	childDir    = "HODEI_STORE_CHILD" // the folder that a child process appends to
	longTests   = "HODEI_LONG"
	killWriters = 32

	killsAFolder = 5 // then a new folder, so that the checker has not ever more to read
)

func kills() int {
	switch {
	case testing.Short():
		return 4
	case os.Getenv(longTests) != "":
		return 2000
	}
	return 150
}

// A child process appends with many writers and writes each answer to the
// ledger; it is killed, again and again. What is in the ledger is in the log, at
// the position that was answered, and no append is half there.
func TestKilledAtAnyMoment(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		appendUntilKilled(dir)
	}
	var dir string
	var ledger map[eventstore.EventID]eventstore.Position
	total := 0
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range kills() {
		if round%killsAFolder == 0 {
			dir, ledger = newDir(t), make(map[eventstore.EventID]eventstore.Position)
		}
		acked := killAfter(t, dir, time.Duration(random.IntN(60_000))*time.Microsecond)
		for id, p := range acked {
			ledger[id] = p
		}
		if t.Failed() {
			return
		}
		total += len(acked)
		if round%killsAFolder == killsAFolder-1 || round == kills()-1 {
			checkLedger(t, dir, ledger)
		}
	}
	t.Logf("%d acknowledged appends", total)
}

func checkLedger(t *testing.T, dir string, ledger map[eventstore.EventID]eventstore.Position) {
	t.Helper()
	s, _, err := Open(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	waitReady(t, s)
	records := all(t, s)
	if len(records)%2 != 0 {
		t.Error("an append is half there")
	}
	for id, p := range ledger {
		if int(p) > len(records) || records[p-1].ID != id {
			t.Fatalf("acknowledged #%d (%s) is not there; the log ends at #%d", p, id, len(records))
		}
	}
}

// killAfter runs a child, kills it so long after its first answer, and returns
// what it had been answered.
func killAfter(t *testing.T, dir string, after time.Duration) map[eventstore.EventID]eventstore.Position {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledAtAnyMoment$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := make(map[eventstore.EventID]eventstore.Position)
	var killer *time.Timer
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
		if killer == nil {
			killer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		text, position, _ := strings.Cut(strings.TrimSpace(line), " ")
		id, err := eventstore.ParseEventID(text)
		if err != nil {
			t.Fatalf("child says %q", line)
		}
		var p eventstore.Position
		if _, err := fmt.Sscan(position, &p); err != nil {
			t.Fatalf("child says %q", line)
		}
		acked[id] = p
	}
	if err := cmd.Wait(); killer == nil {
		t.Errorf("child ended before it was killed: %v", err)
	}
	return acked
}

// appendUntilKilled is the child. Each append has two events in two streams.
func appendUntilKilled(dir string) {
	cfg := config(dir)
	cfg.JournalBytes = 256 << 10
	s, _, err := Open(context.Background(), cfg)
	if err == nil {
		<-s.Ready()
	}
	var mu sync.Mutex // one line at a time
	var wg sync.WaitGroup
	for w := range killWriters {
		wg.Go(func() {
			for i := 0; err == nil; i++ {
				a := one(fmt.Sprintf("own-%d-%d-%d", os.Getpid(), w, i/4), eventstore.Exactly(eventstore.Revision(i%4)), 1)
				a.Batches = append(a.Batches, eventstore.Batch{
					Stream: eventstore.StreamID(fmt.Sprintf("shared-%d", w%3)), Expect: eventstore.Any,
					Events: []eventstore.Event{event(a.FirstID().Next(), "s")},
				})
				r, err := s.Append(context.Background(), a.Batches...)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Printf("%s %d\n", a.FirstID(), r.First)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestASecondProcessIsRefused(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		_, _, err := Open(context.Background(), config(dir))
		fmt.Println(err)
		os.Exit(0)
	}
	cfg := config(newDir(t))
	openStore(t, cfg)
	child := exec.Command(os.Args[0], "-test.run=^TestASecondProcessIsRefused$")
	child.Env = append(os.Environ(), childDir+"="+cfg.Dir)
	out, err := child.Output()
	if want := fmt.Sprintf("process %d has it open", os.Getpid()); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("second process says %q, %v; expected %q", out, err, want)
	}
}
