package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

const (
	watchLooks  = "250ms"     // the least time between two changes that are told
	watchAges   = time.Second // how often ages are written anew, from what is known
	watchHeight = 24          // lines of a terminal that does not say
)

// withWatch gives a command that shows something its flag for showing it again
// whenever it changes.
func (a *app) withWatch(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVarP(&a.watch, "watch", "w", false, "show it in place, again whenever it changes, until Ctrl-C")
	return c
}

// watched shows what ask returns: once, or with --watch again whenever something of
// these kinds changes. What it returns writes to a.stdout and a.stderr.
func (a *app) watched(ctx context.Context, cl *client.Client, kinds []string, ask func(context.Context) (func() error, error)) error {
	if !a.watch {
		show, err := ask(ctx)
		if err != nil {
			return err
		}
		return show()
	}
	if err := a.canWatch(); err != nil {
		return err
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	namespace := a.access.namespace
	if len(kinds) == 1 && kinds[0] == "worker" { // they are in no namespace
		namespace = ""
	}
	w := &watcher{app: a, ask: ask, out: a.stdout, errOut: a.stderr, news: make(chan news, 1)}
	group, following := errgroup.WithContext(ctx)
	group.Go(func() error {
		q := client.ChangesQuery{Kinds: kinds, Namespace: namespace, Every: watchLooks}
		err := cl.FollowChanges(following, q, func(string, json.RawMessage) error { w.tell(nil); return nil }, func(err error, _ time.Duration) { w.tell(err) })
		return a.newer(ctx, cl, "/v1/changes", err)
	})
	group.Go(func() error { return w.run(following) })
	err := group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // Ctrl-C is how it ends
	}
	return err
}

// reread is read, again and again with --watch.
func reread[T any](ctx context.Context, a *app, cl *client.Client, kinds []string, path string, v url.Values, show func(*T) error) error {
	return a.watched(ctx, cl, kinds, func(ctx context.Context) (func() error, error) {
		value, raw, err := fetch[T](ctx, a, cl, path, v)
		if a.programs() {
			return func() error { return a.emit(raw) }, err
		}
		return func() error { return show(value) }, err
	})
}

// canWatch refuses --watch where nothing can be shown in place.
func (a *app) canWatch() error {
	switch {
	case a.programs():
		return &exitError{code: exitUsage, err: fmt.Errorf("--watch does not fit: with -o %s programs read", a.output), help: "follow the log itself: hodei events -f -o " + a.output}
	case !a.out.Redraws:
		return &exitError{code: exitUsage, err: errors.New("--watch does not fit: the output is no terminal on which lines can be replaced"), help: "a line a change: hodei events -f"}
	}
	return nil
}

// watcher draws frames, each in the place of the one before. The last stays.
type watcher struct {
	app         *app
	ask         func(context.Context) (func() error, error)
	out, errOut io.Writer
	news        chan news // the newest alone

	// Of run.
	show  func() error
	away  time.Time // since when there is no connection; zero while there is one
	lines int       // of the frame that is shown
}

// news is that something has changed, or why the connection broke.
type news struct{ lost error }

// tell leaves news, in place of older ones.
func (w *watcher) tell(lost error) {
	select {
	case <-w.news:
	default:
	}
	select {
	case w.news <- news{lost}:
	default:
	}
}

func (w *watcher) run(ctx context.Context) error {
	ages := time.NewTicker(watchAges)
	defer ages.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case n := <-w.news:
			err := n.lost
			if err == nil {
				w.show, err = w.asked(ctx)
			}
			switch {
			case err == nil:
				w.away = time.Time{}
			case w.app.explain(err).code != exitUnreachable:
				return err
			case w.away.IsZero():
				w.away = w.app.now()
			}
		case <-ages.C:
		}
		if err := w.frame(); err != nil {
			return err
		}
	}
}

// asked asks anew; what was known stays where no answer comes.
func (w *watcher) asked(ctx context.Context) (func() error, error) {
	show, err := w.ask(ctx)
	if err != nil {
		return w.show, err
	}
	return show, nil
}

// frame writes what is known over the frame before, no higher than the terminal.
func (w *watcher) frame() error {
	a := w.app
	if w.show == nil && w.away.IsZero() {
		return nil
	}
	a.begin() // it may be of another size by now
	var b bytes.Buffer
	if w.show != nil {
		a.stdout, a.stderr = &b, &b
		err := w.show()
		a.stdout, a.stderr = w.out, w.errOut
		if err != nil {
			return err
		}
	}
	if !w.away.IsZero() {
		fmt.Fprintf(&b, "not connected since %s, trying again; this is what was known then\n", a.clock(w.away))
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	height := term.Height(w.out)
	if height == 0 {
		height = watchHeight
	}
	if most := max(height-1, 2); len(lines) > most {
		lines = append(lines[:most-1:most-1], fmt.Sprintf("… and %d lines more", len(lines)-most+1))
	}
	var f strings.Builder
	f.WriteString("\x1b[?7l") // a line that is too long is cut, not wrapped
	if w.lines > 0 {
		fmt.Fprintf(&f, "\x1b[%dA", w.lines)
	}
	f.WriteString("\r")
	for _, line := range lines {
		f.WriteString(line + "\x1b[K\n")
	}
	f.WriteString("\x1b[J\x1b[?7h")
	w.lines = len(lines)
	_, err := io.WriteString(w.out, f.String())
	return err
}
