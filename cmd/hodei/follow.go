package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// runJob submits a job and, unless detached, follows it to its end.
func (a *app) runJob(ctx context.Context, f *runFlags, spec map[string]any) error {
	cl, err := a.client()
	if err != nil {
		return a.noResult(err)
	}
	if _, ok := spec["namespace"]; a.access.namespace != "" && (!ok || a.namespace != "") {
		spec["namespace"] = a.access.namespace
	}
	body, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	keys := catch()
	defer keys.release()
	var raw json.RawMessage
	err = keys.during(ctx, func(ctx context.Context) (err error) {
		raw, err = cl.Post(ctx, "/v1/jobs", body, f.key)
		return a.newer(ctx, cl, "/v1/jobs", err)
	})
	if err != nil {
		return a.noResult(err)
	}
	job, _, err := decode[wire.Job](a, raw)
	if err != nil {
		return a.noResult(err)
	}
	a.keepLast(job.ID)
	if f.detach {
		return a.printSubmitted(job, raw)
	}
	if len(job.Spec) == 0 { // the answer to a submission is short
		job.Spec = body
	}
	return a.followRun(ctx, cl, keys, f, job)
}

func (a *app) printSubmitted(job *wire.Job, raw json.RawMessage) error {
	if a.programs() {
		return a.emit(raw)
	}
	_, err := fmt.Fprintln(a.stdout, job.ID)
	return err
}

// followRun follows a submitted job and exits as it did.
func (a *app) followRun(ctx context.Context, cl *client.Client, keys *interrupts, f *runFlags, job *wire.Job) error {
	following, leave := context.WithCancel(ctx)
	defer leave()
	v := &viewer{app: a, client: cl, screen: newScreen(a, true, f.raw), memory: memoryOf(job), spec: job.Spec, word: f.word, relative: f.relative}
	keys.screen, keys.client, keys.job, keys.leave = v.screen, cl, job.ID, leave
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		keys.run(following)
	}()
	var end *wire.Job
	err := a.whileRead(following, func(ctx context.Context) (err error) {
		end, err = v.follow(ctx, job.ID)
		return err
	})
	leave()
	<-watched
	switch {
	case err == nil:
	case err == error(unheard):
		return keys.abandon(ctx, "nobody reads its output any more", syscall.SIGPIPE)
	case keys.hung:
		return keys.abandon(ctx, "the terminal was closed", syscall.SIGHUP)
	case keys.left:
		return a.leftJob(job.ID, keys.sent)
	default:
		return a.noResult(err)
	}
	v.conclude(ctx, end)
	if f.result != "" {
		if err := keepResult(f.result, end); err != nil {
			return err
		}
	}
	return exitOf(end, keys.asked)
}

// leftJob says what becomes of a job that is not followed any more.
func (a *app) leftJob(jobID string, cancelled bool) error {
	if cancelled {
		a.note("left %s; it is being cancelled    look: hodei job get %s", jobID, jobID)
	} else {
		a.note("left %s; the cancellation did not reach the server and the job goes on    cancel it: hodei job cancel %s", jobID, jobID)
	}
	return silent(exitInterrupted)
}

func keepResult(path string, job *wire.Job) error {
	b, err := json.MarshalIndent(job, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o644)
	}
	if err != nil {
		return &exitError{code: exitJobNoResult, err: fmt.Errorf("the job %s, but its result can't be written to %s: %s", job.State, path, reason(err)), help: "hodei job get " + job.ID + " -o json"}
	}
	return nil
}

// noResult gives an error the exit code 125 where run has no result, but for
// input that was refused, where nothing was changed, and an interruption.
func (a *app) noResult(err error) error {
	if errors.Is(err, context.Canceled) {
		return silent(exitInterrupted)
	}
	var s silent
	if errors.As(err, &s) {
		return err
	}
	out := *a.explain(err)
	switch out.code {
	case exitUsage, exitInterrupted, exitBug:
	default:
		out.code = exitJobNoResult
	}
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
				return silent(exitSignal + int(n))
			}
		}
		if j.ExitCode != nil && *j.ExitCode != 0 {
			return silent(int(*j.ExitCode))
		}
	}
	return silent(exitJobNoResult)
}

// viewer shows a job's life: its output on stdout, what becomes of it on stderr.
// Its methods are called by one goroutine.
type viewer struct {
	app    *app
	client *client.Client
	screen *screen
	memory uint64 // bytes it asked for, 0 for none
	spec   json.RawMessage
	word   string // its command line, if that is one word that looks like several

	relative string // the whole path of its program, if that was named from here

	since   time.Time // when the connection was lost; zero while there is one
	said    string    // the line said last of a state
	retried uint32    // the attempt up to which retries were told
}

// follow shows the job until it has ended and returns it as it ended.
func (v *viewer) follow(ctx context.Context, id string) (*wire.Job, error) {
	defer v.screen.close()
	end, err := v.client.FollowJob(ctx, id, client.LogsQuery{}, client.Follower{
		State: func(j *wire.Job) { v.retries(ctx, j); v.state(j) }, Log: v.log, Lost: v.lost})
	if err == nil {
		v.retries(ctx, end)
	}
	return end, err
}

func (v *viewer) log(p *wire.LogPiece) error {
	v.back()
	return v.screen.output(p.Stderr, p.Bytes())
}

// state tells of a state. What a job waits for is replaced by what comes next;
// where it runs stays.
func (v *viewer) state(j *wire.Job) {
	v.back()
	line := v.stateLine(j)
	if j.State != "running" {
		v.screen.wait(line)
		v.said = ""
		return
	}
	if !j.Cancelling && line != v.said {
		v.screen.goes(line)
		v.said = line
	}
}

func (v *viewer) stateLine(j *wire.Job) string {
	s, name := v.app.err, term.Escape(j.Name)
	head := s.Of(j.State, s.Glyph(j.State)+" "+j.ID) + " " + name
	rest := ""
	switch j.State {
	case "running":
		rest = " on " + term.Escape(j.WorkerName)
		if j.Attempt > 1 {
			rest += fmt.Sprintf(", attempt %d", j.Attempt)
		}
		if j.Waits {
			rest += ": it waits for keyboard input, which never comes"
		}
		return head + rest
	case "bound":
		rest = ": waiting, sent to " + term.Escape(j.WorkerName) + ", not yet started"
	default:
		rest = ": waiting, " + term.Escape(waitsFor(j))
	}
	if s.Width > 0 { // a line that wraps could not be replaced
		rest = term.Cut(rest, max(s.Width-term.Width(j.ID+name)-4, 0))
	}
	return head + rest
}

func (v *viewer) lost(err error, _ time.Duration) {
	if v.since.IsZero() {
		v.since = time.Now()
		v.screen.say("connection to the server lost, trying again: " + why(err))
	}
}

// back tells, once, that there is a connection again.
func (v *viewer) back() {
	if v.since.IsZero() {
		return
	}
	v.screen.say("connected again after " + took(time.Since(v.since)))
	v.since = time.Time{}
}

// conclude writes how the job ended.
func (v *viewer) conclude(ctx context.Context, j *wire.Job) {
	v.screen.say(v.app.concluded(v.app.err, j, v.memory, v.app.lastHeard(ctx, v.client, j)))
	if j.Reason == "cannot_start" && v.relative != "" {
		v.screen.say("  help: a job begins in an empty folder; name it by its whole path: hodei run -- " + term.Escape(v.relative))
	}
	if j.Reason == "cannot_start" && v.word != "" {
		v.screen.say("  help: hodei run -- sh -c '" + term.Escape(strings.ReplaceAll(v.word, "'", `'\''`)) + "'")
	}
	if j.State == "lost" {
		v.screen.say("  " + fenced(j, v.spec))
		v.screen.say("  help: hodei job events " + j.ID + "    run it again: " + againAfterLoss(j, v.spec))
	}
}

// concluded is the line that says how a job ended; heard is what lastHeard says.
func (a *app) concluded(s term.Style, j *wire.Job, memory uint64, heard string) string {
	line := s.Of(j.State, s.Glyph(j.State)+" "+j.ID+" "+j.State)
	if d, ok := a.ranFor(j); ok {
		line += map[bool]string{true: " in ", false: " after "}[j.State == "succeeded"] + took(d)
	}
	if how := ending(j); how != "" {
		line += ": " + term.Escape(how) + heard
	}
	used := j.Usage
	if used != nil && j.Reason == "out_of_memory" && strings.HasPrefix(j.Summary, j.Reason+": ") { // its peak was told
		used = &wire.Usage{PeakCPU: used.PeakCPU}
	}
	if u := usedOf(used, memory); u != "" {
		line += ", peak " + u
	}
	return line
}
