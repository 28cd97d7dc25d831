package placement

import (
	"fmt"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/resource"
)

// Reason is a code that says why a worker can't take a job, or why a job waits.
// Codes are part of the API and of recorded decisions; they are never renamed.
// This file holds the one sentence of each, for every face.
type Reason string

// Why a worker can't take a job.
const (
	Offline  Reason = "offline"   // it has no live session
	Cordoned Reason = "cordoned"  // an operator keeps new jobs away
	Draining Reason = "draining"  // it ends when its jobs have ended
	NoMatch  Reason = "no_match"  // it lacks a label or is of another pool
	TooLarge Reason = "too_large" // even empty it is too small
	Busy     Reason = "busy"      // it would fit, but not now
)

// Why a job waits, besides NoMatch, TooLarge and Busy.
const (
	NoWorker Reason = "no_worker" // none is online
	Paused   Reason = "paused"    // its namespace is
	Backoff  Reason = "backoff"   // its next attempt isn't due
	Next     Reason = "next"      // a worker has room; it is being placed
)

func (w *Why) noWorker() {
	w.Brief = "none online"
	w.Summary = "No worker is online."
	w.Help = "start one here: hodei dev; see those there are: hodei worker list"
}

func (w *Why) paused(namespace string) {
	w.Brief = "namespace " + namespace
	w.Summary = fmt.Sprintf("Namespace %s is paused.", namespace)
	w.Help = "it goes on when " + namespace + " is resumed"
}

// backoff also covers a delay that has just ended.
func (w *Why) backoff(attempt uint32, due, now int64) {
	in := max(0, time.Duration(due-now)).Round(time.Second)
	w.Brief = "next in " + in.String()
	w.Summary = fmt.Sprintf("Attempt %d did not succeed; attempt %d is due in %s.", attempt-1, attempt, in)
	w.Help = "it will be tried again by itself"
}

func (w *Why) next() {
	w.Brief = "being placed"
	w.Summary = fmt.Sprintf("%s now; it is being placed.", have(w.Fit, "room for it"))
	w.Help = "it will start by itself"
}

func (w *Why) busy() {
	w.Brief = fmt.Sprintf("%s, none free", fits(w.Fit, ""))
	w.Summary = fmt.Sprintf("%s, none is free.", fits(w.Fit, " it"))
	w.Help = "it will start by itself; add a worker to have it sooner"
}

// place completes what a class is told for one of its jobs. A table has room for
// one thing: the place where it says how long, else what keeps the job.
func (w *Why) place(place, of int) {
	w.Place, w.Of = place, of
	w.Summary += fmt.Sprintf(" Place %d of %d.", place, of)
	if w.Code == Busy || w.Code == Next {
		w.Brief = fmt.Sprintf("place %d of %d", place, of)
	}
}

func (w *Why) tooLarge(dimension, needs, largest, worker string) {
	w.Brief = fmt.Sprintf("needs %s %s, largest has %s", needs, unit(dimension), largest)
	w.Summary = fmt.Sprintf("No worker is large enough: it needs %s %s, the largest has %s (%s).",
		needs, unit(dimension), largest, worker)
	w.Help = fmt.Sprintf("ask for less %s, or add a larger worker", unit(dimension))
}

func (w *Why) noMatch(c Class, nearest, lacks string) {
	asked := requirements(c)
	w.Brief = asked
	w.Summary = fmt.Sprintf("No worker has what it requires: %s. Nearest: %s, %s.", asked, nearest, lacks)
	w.Help = "require what a worker has, or add a worker with " + asked
}

// kept is for jobs that only a worker could take which takes none.
func (w *Why) kept(worker string, because Reason, more int) {
	w.Brief = fmt.Sprintf("%s is %s", worker, because)
	w.Summary = fmt.Sprintf("Only %s fits it, and it is %s.", worker, because)
	if more > 0 {
		w.Summary = fmt.Sprintf("Only %s and %d more fit it, and they take no new jobs (%s is %s).", worker, more, worker, because)
	}
	w.Help = "it goes on when " + worker + " takes jobs again"
	if because == Draining {
		w.Help = "add a worker like " + worker
	}
}

func requirements(c Class) string {
	parts := make([]string, 0, len(c.Requires)+1)
	switch {
	case c.Pool != "":
		parts = append(parts, "pool "+c.Pool)
	case len(c.Requires) == 0:
		parts = append(parts, "no pool")
	}
	for _, l := range c.Requires {
		parts = append(parts, l.Key+"="+l.Value)
	}
	return strings.Join(parts, ", ")
}

func fits(n int, what string) string {
	if n == 1 {
		return "1 worker fits" + what
	}
	return fmt.Sprintf("%d workers fit%s", n, what)
}

func have(n int, what string) string {
	if n == 1 {
		return "1 worker has " + what
	}
	return fmt.Sprintf("%d workers have %s", n, what)
}

func unit(dimension string) string {
	if dimension == resource.DimensionCPU {
		return "CPU"
	}
	return dimension
}

// quantity writes one dimension of an amount.
func quantity(a resource.Amount, dimension string) string {
	switch dimension {
	case resource.DimensionCPU:
		return a.CPU.String()
	case resource.DimensionMemory:
		return a.Memory.Shown()
	}
	return a.Disk.Shown()
}
