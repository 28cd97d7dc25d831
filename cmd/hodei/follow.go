package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// runJob submits a job and, unless detached, follows it to its end.
func (a *app) runJob(ctx context.Context, spec []byte, f runFlags) error {
	c, err := a.client()
	if err != nil {
		return noResult(err)
	}
	job, err := c.Submit(ctx, spec, f.key)
	if err != nil {
		return noResult(err)
	}
	if f.detach {
		return a.printSubmitted(job)
	}
	v := &viewer{app: a, client: c, raw: f.raw, progress: true}
	end, err := v.follow(ctx, job.ID, 0)
	if err != nil {
		return noResult(err)
	}
	if f.result != "" {
		if err := keepResult(f.result, end); err != nil {
			return err
		}
	}
	v.conclude(end)
	return exitOf(end, v.cancelled.Load())
}

func (a *app) printSubmitted(job *wire.Job) error {
	if a.output == "json" {
		return a.emit(job)
	}
	_, err := fmt.Fprintln(a.stdout, job.ID)
	return err
}

func keepResult(path string, job *wire.Job) error {
	b, err := json.MarshalIndent(job, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return usage("the job has ended, but its result can't be kept: %v", err)
	}
	return nil
}

// noResult gives an error the exit code 125 where run has no result, but for
// input that was refused, where nothing was changed.
func noResult(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return silent(exitInterrupted)
	}
	e := (&app{}).explain(err)
	if e.code == exitUsage {
		return e
	}
	out := *e
	out.code = exitJobNoResult
	return &out
}

// exitOf returns the exit code for a job that has ended.
func exitOf(j *wire.Job, here bool) error {
	switch j.State {
	case "succeeded":
		return nil
	case "timed_out":
		return silent(exitJobTimeout)
	case "cancelled":
		if here {
			return silent(exitInterrupted)
		}
		return silent(exitJobCancelled)
	case "failed":
		if j.Signal != "" {
			if n := unix.SignalNum("SIG" + strings.TrimPrefix(j.Signal, "SIG")); n != 0 {
				return silent(128 + int(n))
			}
		}
		if j.ExitCode != nil && *j.ExitCode != 0 {
			return silent(int(*j.ExitCode))
		}
	}
	return silent(exitJobNoResult)
}

// viewer shows a job's life: its output on stdout, what becomes of it on stderr.
type viewer struct {
	app      *app
	client   *client.Client
	raw      bool
	progress bool // tell of states, and cancel on Ctrl-C

	out, errOut io.Writer
	status      statusLine
	cancelled   atomic.Bool
	middle      bool // the output stands in the middle of a line
}

// follow shows the job until it has ended and returns it as it ended.
func (v *viewer) follow(ctx context.Context, id string, attempt uint32) (*wire.Job, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	v.status.w, v.status.style = v.app.stderr, v.app.err
	if v.progress {
		defer v.onInterrupt(ctx, id, stop)()
	}
	v.out, v.errOut = v.app.jobOutput(v.app.stdout, v.app.out, v.raw), v.app.jobOutput(v.app.stderr, v.app.err, v.raw)
	end, err := v.client.FollowJob(ctx, id, attempt, client.Follower{State: v.state, Log: v.log, Lost: v.lost})
	for w, s := range map[io.Writer]term.Style{v.out: v.app.out, v.errOut: v.app.err} {
		if f, ok := w.(*term.Filter); ok && s.Terminal {
			_ = f.Reset()
		}
	}
	return end, err
}

// jobOutput returns where a job's bytes go: unchanged, unless that is a terminal.
func (a *app) jobOutput(w io.Writer, s term.Style, raw bool) io.Writer {
	if s.Terminal && !raw {
		return term.NewFilter(w)
	}
	return w
}

func (v *viewer) log(p *wire.LogPiece) error {
	v.status.clear()
	w, b := v.out, p.Bytes()
	if p.Stderr {
		w = v.errOut
	}
	if _, err := w.Write(b); err != nil {
		if errors.Is(err, syscall.EPIPE) {
			return silent(128 + int(syscall.SIGPIPE))
		}
		return fmt.Errorf("cannot write the output: %w", err)
	}
	v.middle = len(b) > 0 && b[len(b)-1] != '\n'
	return nil
}

// state tells of a state: what comes before a job's output is replaced by what
// comes next.
func (v *viewer) state(j *wire.Job) {
	switch {
	case !v.progress || v.app.quiet || j.Terminal():
	case j.State == "running":
		v.status.print(v.stateLine(j))
	default:
		v.status.replace(v.stateLine(j))
	}
}

func (v *viewer) stateLine(j *wire.Job) string {
	s, name := v.app.err, term.Escape(j.Name)
	head := s.Of(j.State, s.Glyph(j.State)+" "+j.ID) + " " + name
	switch {
	case j.Cancelling:
		return head + " is being cancelled"
	case j.State == "running" && j.Waits:
		return head + " on " + term.Escape(j.WorkerName) + ": waits for keyboard input, which never comes"
	case j.State == "running":
		return head + " on " + term.Escape(j.WorkerName)
	case j.State == "bound":
		return head + ": sent to " + term.Escape(j.WorkerName) + ", not yet started"
	}
	wait := ": waiting, " + term.Escape(strings.TrimSuffix(j.Reason+": "+j.Summary, ": "))
	if width := v.app.err.Width; width > 0 { // a line that wraps could not be replaced
		wait = term.Cut(wait, max(width-term.Width(j.ID+name)-4, 0))
	}
	return head + strings.TrimSuffix(wait, ", ")
}

func (v *viewer) lost(err error, _ time.Duration) {
	if v.progress && !v.app.quiet {
		v.status.print("connection lost, trying again: " + err.Error())
	}
}

// conclude writes how the job ended.
func (v *viewer) conclude(j *wire.Job) {
	v.status.clear()
	if v.app.quiet {
		return
	}
	if v.middle && v.app.out.Terminal {
		fmt.Fprintln(v.app.stderr)
	}
	s := v.app.err
	line := s.Of(j.State, s.Glyph(j.State)+" "+j.ID+" "+j.State)
	if d, ok := ranFor(j); ok {
		line += map[bool]string{true: " in ", false: " after "}[j.State == "succeeded"] + took(d)
	}
	if j.State != "succeeded" && j.Summary != "" {
		line += ": " + term.Escape(j.Summary)
	}
	if j.Usage != nil && j.Usage.PeakMemory != nil {
		line += ", peak " + bytesOf(*j.Usage.PeakMemory)
		if j.Usage.PeakCPU != nil {
			line += ", " + cpus(*j.Usage.PeakCPU) + " CPU"
		}
	}
	fmt.Fprintln(v.app.stderr, line)
}

// onInterrupt cancels the job at the first Ctrl-C and leaves at the second. The
// returned function puts the signal's handling back.
func (v *viewer) onInterrupt(ctx context.Context, id string, leave func()) func() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		v.cancelled.Store(true)
		v.status.print("cancelling " + id + "; Ctrl-C again leaves, the cancellation goes on")
		if _, err := v.client.CancelJob(ctx, id, "interrupted"); err != nil && ctx.Err() == nil {
			v.status.print(fmt.Sprintf("cannot cancel %s: %v", id, err))
		}
		select {
		case <-ctx.Done():
		case <-signals:
			leave()
		}
	}()
	return func() {
		signal.Stop(signals)
		leave()
		<-done
	}
}
