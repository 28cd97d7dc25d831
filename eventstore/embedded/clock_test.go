package embedded

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The wall clock is set, or drifts, while an hour passes; the log sees an hour.
func TestLogTimeOnlySlews(t *testing.T) {
	const start = int64(1_767_225_600e9)
	for _, row := range []struct {
		name string
		set  time.Duration // how far the wall clock is moved at the beginning
		last time.Duration // how far the log's last record is ahead of the wall clock
		step time.Duration // what is told
	}{
		{"the clock is right", 0, 0, 0},
		{"it is set an hour ahead", time.Hour, 0, time.Hour},
		{"it is set an hour back", -time.Hour, 0, -time.Hour},
		{"it drifts by half a second", 500 * time.Millisecond, 0, 0},
		{"the log is a day ahead", 0, 24 * time.Hour, 0},
	} {
		var told, passed, shift time.Duration
		c := newLogClock(func() (int64, time.Duration) { return start + int64(passed+shift), passed },
			start+int64(row.last), func(by time.Duration) { told += by })
		first, _ := c.read()
		if want := start + int64(row.last); first != want {
			t.Errorf("%s: the log begins at %d, expected %d", row.name, first, want)
		}
		shift = row.set
		before := first
		for passed = time.Second; passed <= time.Hour; passed += time.Second {
			now, _ := c.read()
			if now < before {
				t.Fatalf("%s: time went back from %d to %d", row.name, before, now)
			}
			before = now
		}
		if off := time.Duration(before-first) - time.Hour; off.Abs() > time.Second {
			t.Errorf("%s: an hour took %v in the log", row.name, time.Hour+off)
		}
		if (told - row.step).Abs() > time.Millisecond {
			t.Errorf("%s: told of a step of %v, expected %v", row.name, told, row.step)
		}
	}
}

func TestLogTimeComesBackToTheWallClock(t *testing.T) {
	const start = int64(1_767_225_600e9)
	var passed time.Duration
	c := newLogClock(func() (int64, time.Duration) { return start + int64(passed), passed }, start+int64(time.Second), nil)
	for range 3 * slew / 2 {
		passed += time.Second
		c.read()
	}
	if log, wall := c.read(); log != wall {
		t.Errorf("after %v the log is still %v off", passed, time.Duration(log-wall))
	}
}

// The machine's time passes by a clock that goes on while it sleeps.
func TestTimePassesWhileTheMachineSleeps(t *testing.T) {
	sinceBoot := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	before := sinceBoot()
	wall, passed := bothClocks(nil)()
	if after := sinceBoot(); passed < before || passed > after {
		t.Errorf("%v have passed, expected %v to %v", passed, before, after)
	}
	if off := time.Since(time.Unix(0, wall)); off.Abs() > time.Minute {
		t.Errorf("the wall clock is %v off", off)
	}
}

// A wall clock and time since boot that jump together, as after a sleep, are no step.
func TestASleepIsTimeThatPassed(t *testing.T) {
	const start = int64(1_767_225_600e9)
	var passed time.Duration
	c := newLogClock(func() (int64, time.Duration) { return start + int64(passed), passed }, start,
		func(by time.Duration) { t.Errorf("told of a step of %v", by) })
	passed = 8 * time.Hour
	if log, _ := c.read(); log != start+int64(passed) {
		t.Errorf("8 hours took %v in the log", time.Duration(log-start))
	}
}
