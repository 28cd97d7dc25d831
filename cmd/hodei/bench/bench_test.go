package bench

import (
	"slices"
	"testing"
)

func TestWhoAsksForLogsGetsAllOfThem(t *testing.T) {
	got := func(only ...string) (names []string) {
		for _, p := range Parts {
			if (Config{Only: only}).asksFor(p.Name) {
				names = append(names, p.Name)
			}
		}
		return names
	}
	if names := got("logs"); !slices.Equal(names, []string{"logs", "stream", "mask"}) {
		t.Errorf("logs is %q", names)
	}
	if names := got("mask", "floors"); !slices.Equal(names, []string{"floors", "mask"}) {
		t.Errorf("two that stand alone are %q", names)
	}
	for _, p := range Parts {
		for _, name := range p.with {
			if !slices.Contains(Names(), name) {
				t.Errorf("%s has the part %q, which there is not", p.Name, name)
			}
		}
	}
}
