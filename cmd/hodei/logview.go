package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/logtext"
)

// stepsAgain is how often steps are asked for while a job is followed: one may have
// begun.
const stepsAgain = time.Second

// logView shows pieces of a job's output, with a line before each step where people
// look. It is used by one goroutine.
type logView struct {
	*viewer
	id      string
	flags   *logsFlags
	printer *logtext.Printer
	attempt uint32 // of the piece shown last
	middle  bool   // it ended in the middle of a line

	// Of the steps; heads is false where none are told of.
	heads bool
	steps []wire.LogStep // those whose line has not been shown
	asked time.Time      // when they were asked for
	told  uint32         // number of the one whose line was shown last, in the attempt
}

func newLogView(a *app, cl *client.Client, id string, f *logsFlags) *logView {
	v := &logView{viewer: a.waitingViewer(cl, f.raw), id: id, flags: f}
	v.heads = a.out.Terminal && !f.raw && !a.programs() && f.query.Stream == ""
	v.printer = logtext.NewPrinter(v.screen, logtext.Style{Strip: f.query.Strip, Times: f.query.Timestamps}, 1)
	return v
}

// show streams what was chosen, to the job's end if that is to be followed.
func (v *logView) show(ctx context.Context) (err error) {
	defer v.screen.close()
	q := v.flags.query
	q.Strip, q.Timestamps = false, false
	follower := client.Follower{Log: func(p *wire.LogPiece) error { return v.piece(ctx, p) }, Lost: v.lost}
	if v.flags.follow {
		follower.State = func(j *wire.Job) { v.state(ctx, j) }
		_, err = v.client.FollowJob(ctx, v.id, q, follower)
		return err
	}
	_, err = v.client.ReplayLog(ctx, v.id, q, follower)
	return err
}

// state says what there is to wait for before there is output, and why there will
// be more of it.
func (v *logView) state(ctx context.Context, j *wire.Job) {
	v.retries(ctx, j)
	if j.State == "pending" || j.State == "bound" {
		v.waits(j)
		return
	}
	v.back()
	v.screen.settle()
}

// record is a piece as -o json and -o yaml show it.
type record struct {
	Attempt uint32 `json:"attempt"`
	Offset  uint64 `json:"offset"`
	*wire.LogPiece
}

func (v *logView) piece(ctx context.Context, p *wire.LogPiece) error {
	v.back()
	if v.app.programs() {
		b, err := v.app.document(record{p.Attempt, p.Offset, p})
		if err != nil {
			return err
		}
		return v.screen.output(false, b)
	}
	data := p.Bytes()
	for v.heads && len(data) > 0 {
		n, err := v.upToStep(ctx, p.Attempt, p.Offset, data)
		if err != nil {
			return err
		}
		if n == len(data) {
			break
		}
		if err := v.print(p, data[:n]); err != nil {
			return err
		}
		p.Offset, data = p.Offset+uint64(n), data[n:]
	}
	return v.print(p, data)
}

func (v *logView) print(p *wire.LogPiece, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	v.middle = data[len(data)-1] != '\n'
	return v.printer.Print(&joblog.Piece{Time: p.Time, Data: data})
}

// upToStep shows the line of a step that begins at the offset, and returns how many
// bytes come before the next one's.
func (v *logView) upToStep(ctx context.Context, attempt uint32, offset uint64, data []byte) (int, error) {
	if attempt != v.attempt || v.flags.follow && time.Since(v.asked) >= stepsAgain {
		if err := v.ask(ctx, attempt, offset); err != nil {
			return 0, err
		}
	}
	for len(v.steps) > 0 && *v.steps[0].From <= offset {
		step := v.steps[0]
		late := *step.From < offset // it was not known in time
		if end := bytes.IndexByte(data, '\n'); late && v.middle && end >= 0 {
			return end + 1, nil
		} else if late && v.middle {
			return len(data), nil
		}
		v.steps = v.steps[1:]
		if step.To == nil || *step.To > offset { // else there is nothing of it to show
			v.screen.say(v.head(&step))
		}
	}
	if len(v.steps) == 0 {
		return len(data), nil
	}
	return int(min(uint64(len(data)), *v.steps[0].From-offset)), nil
}

// ask asks for the steps of an attempt and keeps those that are still to be told
// of. A job of one step, or an older server, has none.
func (v *logView) ask(ctx context.Context, attempt uint32, offset uint64) error {
	steps, err := v.client.LogSteps(ctx, v.id, attempt)
	if v.attempt != attempt {
		v.told = 0
	}
	v.attempt, v.asked = attempt, time.Now()
	if err != nil {
		return ctx.Err() // lines are worth more than heads
	}
	var left []wire.LogStep
	for _, s := range steps.Steps {
		if s.From != nil && s.Step > v.told && (s.To == nil || *s.To > offset) {
			left = append(left, s)
		}
	}
	if len(steps.Steps) > 1 {
		v.steps = left
	}
	return nil
}

// head is the line before a step's output.
func (v *logView) head(s *wire.LogStep) string {
	v.told = s.Step
	style := v.app.out
	bar := "--"
	if style.Unicode {
		bar = "──"
	}
	text := fmt.Sprintf("%s %s %s", bar, strings.TrimSpace(fmt.Sprint(s.Step, " ", term.Escape(s.Name))), strings.TrimSpace(style.Glyph(s.State)+" "+strings.ReplaceAll(s.State, "_", " ")))
	if s.Seconds > 0 {
		text += " " + took(time.Duration(s.Seconds*float64(time.Second)))
	}
	if style.Width > 0 {
		text = term.Cut(text, style.Width)
	}
	return style.Paint(term.Dim, text)
}

// foundLine shows a line that a search found, as grep does. One that was cut is
// read whole.
func (a *app) foundLine(ctx context.Context, cl *client.Client, id string, attempt uint32, f *logsFlags, w io.Writer, l *wire.LogLine) error {
	mark := "-"
	if l.Match {
		mark = ":"
	}
	prefix := ""
	if f.query.Numbers {
		prefix = fmt.Sprint(l.Line, mark)
	}
	if f.query.Timestamps {
		prefix += l.Time.UTC().Format(logtext.TimeLayout) + " "
	}
	if !l.Cut {
		_, err := fmt.Fprintln(w, prefix+l.Text)
		return err
	}
	if _, err := fmt.Fprint(w, prefix); err != nil {
		return err
	}
	p := logtext.NewPrinter(w, logtext.Style{Strip: f.ansi != "keep"}, 1)
	return cl.LogRange(ctx, id, attempt, l.Offset, l.End, pieceWriter{p})
}

// pieceWriter prints what is written to it.
type pieceWriter struct{ printer *logtext.Printer }

func (w pieceWriter) Write(b []byte) (int, error) {
	return len(b), w.printer.Print(&joblog.Piece{Data: b})
}
