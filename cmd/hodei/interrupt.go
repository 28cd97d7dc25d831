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

// interrupts is what Ctrl-C does while a job is followed: the first cancels the
// job and goes on following it, the second leaves. SIGTERM is the same.
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
}

// catch begins to catch signals; release puts their handling back.
func catch() *interrupts {
	i := &interrupts{signals: make(chan os.Signal, 2)}
	signal.Notify(i.signals, os.Interrupt, syscall.SIGTERM)
	return i
}

func (i *interrupts) release() { signal.Stop(i.signals) }

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
	case <-i.signals:
	}
	i.asked = true
	i.screen.say("cancelling " + i.job + "; Ctrl-C again leaves, the cancellation goes on")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		i.sent = i.cancel(ctx)
	}()
	select {
	case <-ctx.Done():
	case <-i.signals:
		i.left = true
		i.leave()
	}
	<-sent
}

// cancel sends the cancellation until the server has answered or ctx ends.
func (i *interrupts) cancel(ctx context.Context) (sent bool) {
	for said := false; ; said = true {
		_, err := i.client.CancelJob(ctx, i.job, "interrupted")
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
