package durabletest

import "testing"

// Power is the proof of whatever keeps something on a disk that it outlives power
// cuts.
type Power struct {
	Tries int                                 // as [Cut] takes them
	Run   func(v *Volatile) error             // goes on after a sync that failed
	Check func(v *Volatile, dir string) error // whether what v.Known speaks of is in that folder
}

func (p Power) cut(t testing.TB, forget string, failSync int) (*Volatile, error) {
	v := &Volatile{Forget: forget, FailSync: failSync}
	return v, Cut(t, v, p.Tries, p.Run, func(dir string) error { return p.Check(v, dir) })
}

// AtEachStep cuts the power before each step, and after the last.
func (p Power) AtEachStep(t testing.TB) {
	t.Helper()
	if _, err := p.cut(t, "", 0); err != nil {
		t.Error(err)
	}
}

// AfterAFailedSync lets one sync after the other fail, as when a kill comes just
// before it; the next process believes what it reads; and only then the power is
// cut. Of the syncs it tries each stride-th.
func (p Power) AfterAFailedSync(t testing.TB, stride int) {
	t.Helper()
	for n := 1; ; n += stride {
		v, err := p.cut(t, "", n)
		if err != nil {
			t.Errorf("sync %d failed: %v", n, err)
		}
		if n >= v.Syncs {
			return
		}
	}
}

// EachSyncIsNeeded is the control: without any one of the syncs something is lost,
// at once or after another one has failed. There must be so many kinds of syncs at
// least, by who asks for them, lest a run does less than it should.
func (p Power) EachSyncIsNeeded(t testing.TB, kinds int) {
	t.Helper()
	whole, err := p.cut(t, "", 0)
	if err != nil {
		t.Error(err)
	}
	for site := range whole.Sites {
		missed := false
		for n := 0; n <= whole.Syncs && !missed; n++ {
			_, err := p.cut(t, site, n)
			missed = err != nil
		}
		if !missed {
			t.Errorf("nothing is lost without the sync of the %s", site)
		}
	}
	if len(whole.Sites) < kinds {
		t.Errorf("there are only %d kinds of syncs: %v", len(whole.Sites), whole.Sites)
	}
}
