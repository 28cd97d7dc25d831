package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// What a follower of a job sees as time goes by. Each step of a row happens, then
// time passes.
func TestViewer(t *testing.T) {
	job := func(state, reason, summary string) *wire.Job {
		return &wire.Job{ID: "7f3k9qd2", Name: "make", State: state, Reason: reason, Summary: summary, Attempt: 1, WorkerName: "atlas"}
	}
	waits := func(place string) func(*viewer) {
		return func(v *viewer) { v.state(job("pending", "busy", "place "+place)) }
	}
	runs := func(v *viewer) { v.state(job("running", "", "")) }
	writes := func(text string) func(*viewer) { return func(v *viewer) { _ = v.log(&wire.LogPiece{T: text}) } }
	cut := func(v *viewer) {
		v.lost(&client.UnreachableError{URL: "http://127.0.0.1:8080", Cause: syscall.ECONNREFUSED}, 0)
	}
	passes := func(d time.Duration) func(*viewer) { return func(*viewer) { time.Sleep(d) } }
	once := func(v *viewer) { v.screen.once = true }
	none := func(v *viewer) { v.screen.still = true }
	concludes := func(v *viewer) { v.conclude(context.Background(), job("succeeded", "", "")) }
	closes := func(v *viewer) { v.screen.close() }

	terminal := term.Style{Terminal: true, Redraws: true, Unicode: true, Width: 80}
	for _, row := range []struct {
		name  string
		style term.Style
		steps []func(*viewer)
		want  string
	}{
		{"what is over at once is not worth a word", terminal, []func(*viewer){waits("1 of 1"), passes(250 * time.Millisecond), runs, writes("ok\n"), closes}, `
▶ 7f3k9qd2 make on atlas
ok
`},
		{"what it waits for is replaced in place", terminal, []func(*viewer){waits("3 of 9"), passes(time.Second), waits("2 of 9"), passes(time.Second), runs, closes}, `
○ 7f3k9qd2 make: waiting, busy, place 3 of 9␍␛[K○ 7f3k9qd2 make: waiting, busy, place 2 of 9␍␛[K▶ 7f3k9qd2 make on atlas
`},
		{"a terminal is drawn at most ten times a second", terminal, []func(*viewer){waits("9 of 9"), passes(301 * time.Millisecond), waits("8 of 9"), passes(time.Millisecond), waits("7 of 9"),
			passes(time.Millisecond), waits("6 of 9"), passes(time.Second), closes}, `
○ 7f3k9qd2 make: waiting, busy, place 9 of 9␍␛[K○ 7f3k9qd2 make: waiting, busy, place 6 of 9␍␛[K⋯
`},
		{"in a pipe a change is a line, at most every ten seconds", term.Style{Unicode: true}, []func(*viewer){waits("9 of 9"), passes(time.Second), waits("8 of 9"), passes(time.Second), waits("7 of 9"),
			passes(10 * time.Second), waits("7 of 9"), passes(time.Minute), runs, writes("ok\n"), closes}, `
2| ○ 7f3k9qd2 make: waiting, busy, place 9 of 9
2| ○ 7f3k9qd2 make: waiting, busy, place 7 of 9
2| ▶ 7f3k9qd2 make on atlas
ok
`},
		{"a terminal that can't redraw gets lines", term.Style{Terminal: true, Width: 80}, []func(*viewer){waits("2 of 9"), passes(time.Second), runs, closes}, `
. 7f3k9qd2 make: waiting, busy, place 2 of 9
> 7f3k9qd2 make on atlas
`},
		{"a line that would wrap is cut", term.Style{Terminal: true, Redraws: true, Unicode: true, Width: 40}, []func(*viewer){waits("1000 of 1000"), passes(time.Second), runs, closes}, `
○ 7f3k9qd2 make: waiting, busy, place …␍␛[K▶ 7f3k9qd2 make on atlas
`},
		{"an outage is told once, and its end", term.Style{Unicode: true}, []func(*viewer){runs, writes("one\n"), cut, passes(time.Second), cut, passes(4 * time.Second), cut, passes(100 * time.Millisecond), writes("two\n"), closes}, `
2| ▶ 7f3k9qd2 make on atlas
one
2| connection to the server lost, trying again: connection refused
2| connected again after 5.1s
two
`},
		{"words begin a line of their own on a shared terminal", terminal, []func(*viewer){runs, writes("no end"), cut, passes(time.Second), writes("more\n"), closes}, `
▶ 7f3k9qd2 make on atlas
no end
connection to the server lost, trying again: connection refused
connected again after 1.0s
more
`},
		{"words elsewhere do not", term.Style{Unicode: true}, []func(*viewer){runs, writes("no end"), cut, closes}, `
2| ▶ 7f3k9qd2 make on atlas
2| connection to the server lost, trying again: connection refused
no end⋯
`},
		{"a second attempt is told", terminal, []func(*viewer){runs, writes("try\n"), waits("1 of 1"), passes(time.Millisecond), func(v *viewer) {
			j := job("running", "", "")
			j.Attempt = 2
			v.state(j)
		}, writes("try\n"), closes}, `
▶ 7f3k9qd2 make on atlas
try
▶ 7f3k9qd2 make on atlas, attempt 2
try
`},
		{"a program that reads the keyboard is told of", terminal, []func(*viewer){runs, func(v *viewer) {
			j := job("running", "", "")
			j.Waits = true
			v.state(j)
			v.state(j)
		}, closes}, `
▶ 7f3k9qd2 make on atlas
▶ 7f3k9qd2 make on atlas: it waits for keyboard input, which never comes
`},
		{"where nothing is followed but the end, in a pipe, one line says why", term.Style{Unicode: true}, []func(*viewer){once, waits("9 of 9"), passes(time.Second), waits("8 of 9"),
			passes(time.Minute), func(v *viewer) { v.waits(job("running", "", "")) }, passes(time.Minute), closes}, `
2| ○ 7f3k9qd2 make: waiting, busy, place 9 of 9
`},
		{"on a terminal it is always the newest", terminal, []func(*viewer){once, waits("9 of 9"), passes(time.Second), func(v *viewer) { v.waits(job("running", "", "")) }, passes(time.Second), closes}, `
○ 7f3k9qd2 make: waiting, busy, place 9 of 9␍␛[K▶ 7f3k9qd2 make on atlas␍␛[K⋯
`},
		{"logs -f says what its output waits for, and nothing more once it runs", terminal, []func(*viewer){func(v *viewer) {
			(&logView{viewer: v}).state(t.Context(), &wire.Job{ID: "7f3k9qd2", Name: "make", State: "pending", Reason: "no_worker", Summary: "none is online"})
		}, passes(time.Second), func(v *viewer) { (&logView{viewer: v}).state(t.Context(), job("running", "", "")) }, passes(time.Second), writes("ok\n"), closes}, `
○ 7f3k9qd2 make: waiting, no_worker: none is online␍␛[Kok
`},
		{"a name can't move the cursor", terminal, []func(*viewer){func(v *viewer) {
			j := job("running", "", "")
			j.Name, j.WorkerName = "a\x1b[2J", "b\r"
			v.state(j)
		}, closes}, `
▶ 7f3k9qd2 a\x1b[2J on b\x0d
`},
		{"--progress none leaves only the end", term.Style{Unicode: true}, []func(*viewer){none, waits("9 of 9"), passes(time.Minute), runs, writes("ok\n"), concludes, closes}, `
ok
2| ✓ 7f3k9qd2 succeeded
`},
		{"--progress plain writes lines on a terminal", (&app{progress: progressPlain}).progressive(terminal), []func(*viewer){waits("2 of 9"), passes(time.Second), runs, closes}, `
○ 7f3k9qd2 make: waiting, busy, place 2 of 9
▶ 7f3k9qd2 make on atlas
`},
		{"--progress tty redraws what is no terminal", (&app{progress: progressTTY}).progressive(term.Style{Unicode: true}), []func(*viewer){waits("2 of 9"), passes(time.Second), waits("1 of 9" + strings.Repeat(" long", 20)), passes(time.Second), closes}, `
2| ○ 7f3k9qd2 make: waiting, busy, place 2 of 9␍␛[K○ 7f3k9qd2 make: waiting, busy, place 1 of 9 long long long long long long lon…␍␛[K⋯
`},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &transcript{terminal: row.style.Terminal}
				a := &app{stdout: stream{tr, 1}, stderr: stream{tr, 2}, out: row.style, err: row.style, now: time.Now}
				v := &viewer{app: a, screen: newScreen(a, true, false)}
				for _, step := range row.steps {
					step(v)
					synctest.Wait()
				}
				if got, want := tr.String(), row.want[1:]; got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		})
	}
}

// A reader that has seen enough ends a command without a word; a full disk does
// not.
func TestOutputThatCannotBeWritten(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		code int
	}{{"the reader of a pipe has gone", syscall.EPIPE, 141}, {"a full disk", syscall.ENOSPC, exitRefused}} {
		a := &app{stdout: broken{row.err}, stderr: io.Discard}
		v := &viewer{app: a, screen: newScreen(a, true, false)}
		err := v.log(&wire.LogPiece{T: "x"})
		if code := a.report(err); code != row.code {
			t.Errorf("%s: code %d, want %d (%v)", row.name, code, row.code, err)
		}
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

// A panic is a bug, and says so.
func TestABugIsToldAsOne(t *testing.T) {
	var said recorder
	a := &app{stdout: panics{}, stderr: &said}
	if code := a.run(t.Context(), []string{"version"}); code != exitBug {
		t.Errorf("code %d, want %d; said %s", code, exitBug, said)
	}
}

type panics struct{}

func (panics) Write([]byte) (int, error) { panic(errors.New("boom")) }

type recorder []byte

func (r *recorder) Write(b []byte) (int, error) {
	*r = append(*r, b...)
	return len(b), nil
}
