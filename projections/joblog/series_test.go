package joblog_test

import (
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

func TestASeriesHasOffsetsAndAnEndOfItsOwn(t *testing.T) {
	log := open(t, t.TempDir(), joblog.Options{})
	k := numbered(1)
	if s := k.Series(); !s.IsSeries() || k.IsSeries() || s.Log() != k || k.Log() != k || s == k {
		t.Fatalf("of %+v the series is %+v", k, s)
	}
	take(t, log, k, 1)
	take(t, log, k.Series(), 1)
	for _, a := range []struct {
		key joblog.Key
		p   joblog.Piece
	}{{k, out(0, "log")}, {k.Series(), out(0, "ser")}, {k, out(3, "1")}, {k.Series(), out(3, "ies")}} {
		if err := log.Append(a.key, 1, a.p); err != nil {
			t.Fatal(err)
		}
	}
	log.Finish(k.Series(), 6)
	if _, ok := log.Ended(k); ok {
		t.Error("the log has ended with the series")
	}
	if a, b := readAll(t, log, k, 0, 100), readAll(t, log, k.Series(), 0, 100); a != "log1" || b != "series" {
		t.Errorf("read %q and %q", a, b)
	}
}

// However many jobs run for however long, what they use takes little memory.
func TestASeriesTakesLittleMemory(t *testing.T) {
	log := open(t, t.TempDir(), joblog.Options{})
	k := numbered(1).Series()
	take(t, log, k, 1)
	text := strings.Repeat("x", 40)
	for i := range 300 {
		if err := log.Append(k, 1, out(uint64(i*len(text)), text)); err != nil {
			t.Fatal(err)
		}
		if err := log.WaitDurable(t.Context(), k, uint64((i+1)*len(text))); err != nil {
			t.Fatal(err)
		}
	}
	if held := log.Rings(); held > 4<<10 {
		t.Errorf("%d bytes are held", held)
	}
	if got := readAll(t, log, k, 0, 1000); len(got) != 300*len(text) {
		t.Errorf("%d bytes are read", len(got))
	}
}
