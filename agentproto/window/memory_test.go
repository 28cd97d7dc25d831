package window

import "testing"

// However many pieces were sent, a Flight has room for little more than those that
// are under way; for few once none is.
func TestPiecesThatArrivedTakeNoRoom(t *testing.T) {
	const many = 1000
	var f Flight
	for end := uint64(1); end <= 100*many; end++ {
		f.Send(end)
		if end > many {
			f.Acknowledge(end - many)
		}
	}
	if f.Pieces() != many || cap(f.ends) > 8*many {
		t.Errorf("for %d pieces there is room for %d", f.Pieces(), cap(f.ends))
	}
	f.Acknowledge(1 << 62)
	if f.Pieces() != 0 || cap(f.ends) > keptEnds {
		t.Errorf("for %d pieces there is room for %d", f.Pieces(), cap(f.ends))
	}
	for end := uint64(1); end <= many; end++ {
		f.Send(end)
	}
	if f.Clear(); cap(f.ends) > keptEnds {
		t.Errorf("after all were cleared there is room for %d", cap(f.ends))
	}
}
