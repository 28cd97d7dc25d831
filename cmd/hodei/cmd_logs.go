package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
)

// logsFlags are what logs can choose of a job's output, and how it looks.
type logsFlags struct {
	follow  bool
	raw     bool
	ansi    string
	grep    string
	context int
	query   client.LogsQuery
}

func (a *app) cmdLogs() *cobra.Command {
	var f logsFlags
	c := &cobra.Command{
		Use: "logs JOB", Short: "Show, follow or search a job's output",
		Example: `  hodei logs 7f3k9qd2 --step test --tail 50
  hodei logs -f last
  hodei logs 7f3k9qd2 --grep '(?i)error' -C 2
  hodei logs 7f3k9qd2 --since 10m --timestamps > job.log`,
		Long: `In a pipe it is the output byte by byte as it was written. On a terminal a line
tells of each step, and all but text, colours and redrawn lines is left out.
With -o json it is an object for each piece, or a page of what was found.
` + jobNames,
		Args: oneArg("job"), ValidArgsFunction: a.oneOfJobs(""),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(c, a.now(), a.programs()); err != nil {
				return err
			}
			return a.withJobOf(c.Context(), args[0], func(cl *client.Client, id string) error {
				err := untilLeft(c.Context(), func(ctx context.Context) error {
					return a.whileRead(ctx, func(ctx context.Context) error { return a.showLogs(ctx, cl, id, &f) })
				})
				if f.follow {
					err = a.leftAlone(err, id)
				}
				return err
			})
		},
	}
	f.register(c)
	return a.withProgress(c)
}

func (f *logsFlags) register(c *cobra.Command) {
	fl, q := c.Flags(), &f.query
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on until the job has ended")
	fl.Uint32Var(&q.Attempt, "attempt", 0, "output of attempt `N`, from 1 (default: the current or last)")
	fl.StringVar(&q.Step, "step", "", "only what this `STEP` wrote, by number or name; with -f from there on")
	fl.StringVar(&q.Since, "since", "", "only lines since then: an age such as 10m, a `TIME` such as 10:36:55 or RFC 3339")
	fl.StringVar(&q.Until, "until", "", "only lines before then, a `TIME` as --since")
	fl.StringVar(&q.Lines, "lines", "", "only lines `A:B`, from 1; A: and :B too")
	fl.StringVar(&q.Tail, "tail", "", "only the last `N` of these lines")
	fl.StringVar(&q.Stream, "stream", "", "only this `STREAM`, stdout or stderr, of a job without a terminal (run --no-tty)")
	fl.StringVar(&f.grep, "grep", "", "only lines that match the `REGEX` (RE2)")
	fl.IntVarP(&f.context, "context", "C", 0, "with --grep: `N` lines around each too")
	fl.BoolVarP(&q.Timestamps, "timestamps", "t", false, "the time each line was written, in UTC, before it")
	fl.BoolVar(&q.Numbers, "line-numbers", false, "the number of each line before it")
	fl.StringVar(&f.ansi, "ansi", "", "`WHAT` becomes of colours and other escape sequences: keep or strip")
	fl.BoolVar(&f.raw, "raw", false, "let all bytes reach the terminal, harmful ones too")
}

// check checks what the server could not name by its flag, and brings times of day
// into the server's form.
func (f *logsFlags) check(c *cobra.Command, now time.Time, json bool) error {
	q := &f.query
	for _, t := range []*string{&q.Since, &q.Until} {
		*t = today(*t, now)
	}
	if f.ansi != "" && f.ansi != "keep" && f.ansi != "strip" {
		return usage("--ansi is %q; it may be keep or strip", f.ansi)
	}
	q.Strip = f.ansi == "strip"
	if f.context < 0 {
		return usage("--context is %d; it is a number of lines", f.context)
	}
	search := f.grep != ""
	return refuse(c,
		rule{"progress", !f.follow, "without -f there is nothing to wait for"},
		rule{"until", f.follow, "with -f there is no end but the job's"},
		rule{"lines", f.follow, "with -f lines are not chosen by number"},
		rule{"grep", f.follow, "with -f there is no search; hodei logs -f JOB | grep … has one"},
		rule{"line-numbers", f.follow, "with -f lines are not counted"},
		rule{"context", !search, "without --grep there are no lines around matches"},
		rule{"grep", !search, "it is empty, and would match every line"},
		rule{"attempt", q.Attempt == 0, "attempts are counted from 1"},
		rule{"raw", json, "with -o json no bytes of the job reach the terminal as they are"},
		rule{"raw", q.Strip, "--ansi strip takes away what it lets pass"},
		rule{"timestamps", json, "with -o json each piece has its time"},
		rule{"line-numbers", json && !search, "with -o json pieces have offsets; lines are counted where --grep finds them"},
		rule{"ansi", json && !search, "with -o json pieces are as they were written"},
	)
}

// today makes a time of day one of today, here; it leaves other texts alone.
func today(text string, now time.Time) string {
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			now = now.Local()
			at := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			return at.Format(time.RFC3339)
		}
	}
	return text
}

// showLogs shows what was chosen: found lines, a stream of pieces where more than
// text is needed, else the server's text as it comes.
func (a *app) showLogs(ctx context.Context, cl *client.Client, id string, f *logsFlags) error {
	changed := f.query.Timestamps || f.query.Numbers || f.query.Strip
	switch json := a.programs(); {
	case f.grep != "":
		return a.grepLog(ctx, cl, id, f)
	case f.follow || json || a.out.Terminal && !f.raw && !changed:
		return newLogView(a, cl, id, f).show(ctx)
	}
	s := newScreen(a, false, f.raw)
	defer s.close()
	return cl.Logs(ctx, id, f.query, s)
}

// grepLog shows what a search finds, page by page. That nothing was found is an
// answer of no.
func (a *app) grepLog(ctx context.Context, cl *client.Client, id string, f *logsFlags) error {
	s := newScreen(a, false, f.raw)
	defer s.close()
	q := f.query
	q.Strip, q.Timestamps, q.Numbers = false, false, false // it is shown here
	search := client.SearchQuery{Pattern: f.grep, Context: f.context, Keep: f.ansi == "keep"}
	found, last := false, uint64(0)
	for {
		page, raw, err := cl.SearchLog(ctx, id, q, search)
		if err != nil {
			return err
		}
		found = found || len(page.Lines) > 0
		if a.programs() {
			err = a.emit(raw)
		}
		for i := range page.Lines {
			if a.programs() || err != nil {
				break
			}
			l := &page.Lines[i]
			if f.context > 0 && last > 0 && l.Line > last+1 {
				_, err = fmt.Fprintln(s, "--")
			}
			if last = l.Line; err == nil {
				err = a.foundLine(ctx, cl, id, page.Attempt, f, s, l)
			}
		}
		switch {
		case err != nil:
			return err
		case page.Next == "" && !found:
			return silent(exitNo)
		case page.Next == "":
			return nil
		}
		search.Cursor, q.Attempt = page.Next, page.Attempt
	}
}
