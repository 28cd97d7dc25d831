package storetest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// faultVariable names, for a child process, how the naive store is broken.
const faultVariable = "HODEI_STORETEST_FAULT"

func TestTheNaiveStoreKeepsTheContract(t *testing.T) {
	Run(t, openMemory(os.Getenv(faultVariable)))
}

// shortSample is of how many faults a short run plants one.
const shortSample = 5

// Each fault is planted into the naive store, and the case that is meant for it
// must fail. Only that case runs, in a process of its own.
func TestEveryPlantedFaultIsFound(t *testing.T) {
	for i, row := range []struct{ fault, by string }{
		{"a refused append leaves its first batch", "append/if_one_stream"},
		{"only the first batch is judged", "append/if_one_stream"},
		{"the last append is lost at a start", "append/what_was_written"},
		{"metadata is lost", "append/what_was_handed_in"},
		{"values outlive a start", "append/a_decoded_value"},
		{"the context is not looked at", "append/nothing_is_written"},
		{"the error of Append is left out", "append/the_error_of_Append"},
		{"the answer has another time", "append/batches_over"},
		{"the actual revision is not named", "expectation/each_expectation"},
		{"assertions are not looked at", "expectation/an_assertion_holds"},
		{"an assertion has a position", "expectation/an_append_of_assertions"},
		{"a conflict names no head", "expectation/a_reader_who"},
		{"appends of a call don't see each other", "call/appends_of_one_call"},
		{"results are in another order", "call/appends_of_one_call"},
		{"a conflict ends the call", "call/a_conflict_or"},
		{"a repeat is written again", "repeat/a_repeat_gets"},
		{"a repeat is not marked", "repeat/a_repeat_gets"},
		{"a repeat's expectations are looked at", "repeat/a_repeat_gets"},
		{"ids are forgotten at a start", "repeat/a_repeat_is_known"},
		{"a repeat's metadata counts", "repeat/a_repeat_may_have"},
		{"any use of a known id is a repeat", "repeat/another_use"},
		{"too long a name is cut", "limit/a_malformed"},
		{"the limit is one too low", "limit/an_append_at_every_limit"},
		{"ids from the future are taken", "limit/an_event_id"},
		{"backwards begins one below", "read/a_stream_is_read"},
		{"there is one direction", "read/a_stream_is_read"},
		{"the limit is not kept", "read/a_stream_is_read"},
		{"a stream is found by a prefix", "read/a_stream_that_does_not"},
		{"what is handed in is dropped", "read/records_are_appended"},
		{"a filter's types are not looked at", "read/a_filter_passes"},
		{"a filter's prefixes are not looked at", "read/a_filter_passes"},
		{"a read skips a record at its limit", "read/the_log_is_read"},
		{"next is the head", "read/the_end_is_reached"},
		{"revisions are stale", "order/positions_and_revisions"},
		{"time follows the wall clock back", "order/time_never_goes_back_when"},
		{"a position is that before a time", "order/the_position_at"},
		{"a time far away overflows", "order/the_position_at"},
		{"the chain goes on beyond the head", "order/the_chain_is_zero"},
		{"the chain leaves metadata out", "order/the_chain_is_zero"},
		{"the head runs ahead", "wait/the_channel_is_closed"},
		{"a snapshot of any version is loaded", "snapshot/the_newest_of"},
		{"a snapshot above is loaded", "snapshot/the_newest_of"},
		{"snapshots are lost at a start", "snapshot/the_newest_of"},
		{"all snapshots are kept", "snapshot/the_newest_few"},
		{"snapshots of another name are removed", "snapshot/the_newest_few"},
		{"the caller's chain is kept", "snapshot/the_store_fills"},
		{"a snapshot beyond the head is taken", "snapshot/one_of_a_position"},
		{"a closed store is read", "close/a_closed_store"},
		{"closing twice is an error", "close/a_closed_store"},
		{"the last append is lost at a start", "close/appends_that_were_answered"},
		{"two appends hold at one revision", "some_order"},
		{"revisions are stale", "some_order"},
		{"a repeat is written again", "the_store_answers"},
		{"a read skips a record at its limit", "the_store_answers"},
		{"ids are forgotten at a start", "the_store_answers"},
	} {
		if testing.Short() && i%shortSample != 0 {
			continue
		}
		t.Run(row.fault+" "+row.by, func(t *testing.T) {
			t.Parallel()
			found(t, row.fault, row.by)
		})
	}
}

// A store that never wakes anybody costs the suite's whole patience.
func TestAStoreThatWakesNobodyIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("waits as long as the suite is patient")
	}
	t.Parallel()
	found(t, "no channel is ever closed", "wait")
}

// found runs a case on the broken store and fails if the case passes.
func found(t *testing.T, fault, by string) {
	t.Helper()
	const limit = 2 * time.Minute
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.short", "-rapid.nofailfile", "-rapid.shrinktime=0s",
		"-rapid.checks=2000", // it ends with the first that fails
		"-test.timeout="+limit.String(), "-test.run=^TestTheNaiveStoreKeepsTheContract$/"+by)
	cmd.Env = append(os.Environ(), faultVariable+"="+fault)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "--- FAIL: TestTheNaiveStoreKeepsTheContract/") {
		t.Errorf("it is not found: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "panic:") {
		t.Errorf("it ends the process:\n%s", out)
	}
}
