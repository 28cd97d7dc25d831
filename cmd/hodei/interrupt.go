package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

// cancelAgain is how long to wait before a cancellation is sent again that did
// not reach the server.
const cancelAgain = time.Second

// leaveWithin is how long a cancellation may take when nobody follows the job any
// more.
const leaveWithin = 10 * time.Second

// Signals that come together are one: timeout(1) sends its own to the program and
// to its group.
const together = 100 * time.Millisecond

// lastTry is how long whoever leaves waits for the cancellation to be taken.
const lastTry = 2 * time.Second

// interrupts is what Ctrl-C does while a job is followed: the first cancels the
// job and goes on following it, the second leaves. SIGTERM is the same; SIGHUP,
// of a terminal that was closed, cancels and leaves.
type interrupts struct {
	signals chan os.Signal
	screen  *screen
	client  *client.Client
	job     string
	leave   func() // ends the following

	// Set by run, read when it has returned.
	asked bool // the job's cancellation was asked for here
	sent  bool // and the server has taken it
	left  bool // the second one came
	hung  bool // the terminal was closed
}

// catch begins to catch signals; release puts their handling back. A reader that
// has gone is an error of a write and not the end: the job is to be cancelled.
func catch() *interrupts {
	i := &interrupts{signals: make(chan os.Signal, 2)}
	signal.Ignore(syscall.SIGPIPE)
	caught := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		caught = append(caught, syscall.SIGHUP)
	}
	signal.Notify(i.signals, caught...)
	return i
}

func (i *interrupts) release() {
	signal.Stop(i.signals)
	signal.Reset(syscall.SIGPIPE)
}

// untilLeft runs fn, which shows something, with a context that ends at Ctrl-C, so
// that the terminal is left as it was: without a line that stands, without colours.
// The second Ctrl-C ends the process at once.
func untilLeft(ctx context.Context, fn func(context.Context) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := fn(ctx)
	if errors.Is(ctx.Err(), context.Canceled) { // not by a timeout
		return silent(exitInterrupted)
	}
	return err
}

// leftAlone says, of a command that only looked, that the job goes on.
func (a *app) leftAlone(err error, jobID string) error {
	if err == silent(exitInterrupted) {
		a.note("left %s; it goes on", jobID)
	}
	return err
}

// during runs fn, such as a submission, with a context that ends at the first
// signal.
func (i *interrupts) during(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var err error // of fn, once done is closed
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = fn(ctx)
	}()
	select {
	case <-done:
		return err
	case <-i.signals:
		cancel()
		<-done
		return &exitError{code: exitInterrupted, err: errors.New("interrupted while the job was being submitted"), help: "it may have arrived: hodei job list"}
	}
}

// run waits for signals until ctx, the following, ends.
func (i *interrupts) run(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case got := <-i.signals:
		if got == syscall.SIGHUP {
			i.hung = true
			i.leave()
			return
		}
	}
	i.asked = true
	i.screen.say("cancelling " + i.job + "; Ctrl-C again leaves, the cancellation goes on")
	sent := make(chan struct{})
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(sent)
		i.sent = i.cancel(sending, "interrupted")
	}()
	if i.second(ctx, time.Now()) {
		i.left = true
		i.leave()
		select {
		case <-sent:
		case <-i.signals:
		case <-time.After(lastTry):
		}
	}
	giveUp()
	<-sent
}

// second waits for the second signal after a first one, and says whether it came
// before the following ended.
func (i *interrupts) second(ctx context.Context, first time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-i.signals:
			if time.Since(first) >= together {
				return true
			}
		}
	}
}

// abandon cancels the job because nobody is left to follow it, and ends with a
// signal's code.
func (i *interrupts) abandon(ctx context.Context, why string, by syscall.Signal) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	i.screen.say("cancelling " + i.job + ": " + why)
	i.cancel(ctx, why)
	return silent(exitSignal + int(by))
}

// cancel sends the cancellation until the server has answered or ctx ends.
func (i *interrupts) cancel(ctx context.Context, reason string) (sent bool) {
	for said := false; ; said = true {
		_, err := i.client.CancelJob(ctx, i.job, reason)
		var p *wire.Problem
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		case errors.As(err, &p) && p.Status < 500:
			i.screen.say("cannot cancel " + i.job + ": " + p.Error())
			return false
		case !said:
			i.screen.say("the cancellation did not reach the server, it is sent again: " + why(err))
		}
		select {
		case <-time.After(cancelAgain):
		case <-ctx.Done():
			return false
		}
	}
}

// why is the cause of an unreachable server, or any error's text.
func why(err error) string {
	var u *client.UnreachableError
	if errors.As(err, &u) {
		return reason(u.Cause)
	}
	return err.Error()
}
