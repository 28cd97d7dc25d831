package window_test

import (
	"testing"

	"github.com/hodei-jobs/hodei/agentproto/window"
)

func TestAPieceIsUnderWayUntilAllOfItIsAcknowledged(t *testing.T) {
	var f window.Flight
	for _, end := range []uint64{5, 6, 10, 11} {
		f.Send(end)
	}
	for _, step := range []struct {
		have      uint64
		gone, way int
	}{{0, 0, 4}, {4, 0, 4}, {5, 1, 3}, {5, 0, 3}, {9, 1, 2}, {10, 1, 1}, {3, 0, 1}, {20, 1, 0}, {30, 0, 0}} {
		if gone := f.Acknowledge(step.have); gone != step.gone || f.Pieces() != step.way {
			t.Errorf("acknowledged up to %d: %d gone, %d under way; want %d, %d", step.have, gone, f.Pieces(), step.gone, step.way)
		}
	}
	f.Send(31)
	if n := f.Clear(); n != 1 || f.Pieces() != 0 {
		t.Errorf("%d cleared, %d left", n, f.Pieces())
	}
}

// TestManyPieces: the count is that of a list that is searched from its
// beginning, whatever the order of sending and acknowledging.
func TestManyPieces(t *testing.T) {
	var f window.Flight
	var list []uint64
	end := uint64(0)
	for round := range 200 {
		for i := range round % 37 {
			end += uint64(i%5 + 1)
			f.Send(end)
			list = append(list, end)
		}
		have := end - min(end, uint64(round*7%90))
		gone := 0
		for len(list) > 0 && list[0] <= have {
			list, gone = list[1:], gone+1
		}
		if n := f.Acknowledge(have); n != gone || f.Pieces() != len(list) {
			t.Fatalf("round %d: %d gone, %d under way; want %d, %d", round, n, f.Pieces(), gone, len(list))
		}
	}
}
