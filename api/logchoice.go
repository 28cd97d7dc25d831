package api

import (
	"context"
	"errors"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/logtext"
)

// logChoice is what of a log is asked for, and how, as far as the request alone
// can tell.
type logChoice struct {
	step         string
	since, until int64 // ns since 1970; 0 is none
	first, last  uint64
	tail         int64 // lines; -1 is all
	tag          uint8 // 0 is both
	style        logtext.Style
	download     bool

	pattern *regexp.Regexp // nil: it is read, not searched
	context int
	limit   int
	cursor  logtext.Mark // zero is none
}

// choice checks the parameters. Its errors name the one that is wrong.
func (in *logsInput) choice(now time.Time) (c logChoice, err error) {
	c = logChoice{step: in.Step, download: in.Download, context: in.Context, limit: in.Limit, tail: -1}
	c.tag = map[string]uint8{"": 0, "stdout": stdoutTag, "stderr": stderrTag}[in.Stream]
	c.style = logtext.Style{Times: in.Timestamps, Numbers: in.Numbers, Strip: in.ANSI == "strip" || in.ANSI == "" && in.Grep != ""}
	if c.since, err = parseMoment("query.since", in.Since, now); err != nil {
		return c, err
	}
	if c.until, err = parseMoment("query.until", in.Until, now); err != nil {
		return c, err
	}
	if c.first, c.last, err = parseLines(in.Lines); err != nil {
		return c, err
	}
	if in.Tail != "" && in.Tail != "all" {
		if c.tail, err = strconv.ParseInt(in.Tail, 10, 64); err != nil || c.tail < 0 {
			return c, invalid("query.tail", "it must be a number of lines, or all", in.Tail)
		}
	}
	if err = c.search(in); err != nil {
		return c, err
	}
	return c, in.fits()
}

// parseMoment reads a time or an age; "" is 0. What is further away than the times of
// records is the first or the last of them.
func parseMoment(location, text string, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return max(eventstore.Nanos(t), 1), nil
	}
	age, err := spec.ParseDuration(strings.TrimPrefix(text, "-"))
	if err != nil {
		return 0, invalid(location, "it must be a time such as 2026-03-09T10:42:07Z, or an age such as 10m", text)
	}
	return max(eventstore.Nanos(now.Add(-time.Duration(age))), 1), nil
}

// parseLines reads A:B, A: or :B, or one number; 0 is open.
func parseLines(text string) (first, last uint64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	from, to, ok := strings.Cut(text, ":")
	if !ok {
		to = from
	}
	for _, side := range []struct {
		text string
		into *uint64
	}{{from, &first}, {to, &last}} {
		if side.text == "" && text != ":" {
			continue
		}
		if *side.into, err = strconv.ParseUint(side.text, 10, 62); err != nil || *side.into == 0 {
			return 0, 0, invalid("query.lines", "it must be A:B, A: or :B with line numbers from 1", text)
		}
	}
	if last > 0 && last < first {
		return 0, 0, invalid("query.lines", "the last line comes before the first", text)
	}
	return first, last, nil
}

func (c *logChoice) search(in *logsInput) (err error) {
	if in.Grep == "" {
		for _, p := range []struct {
			set            bool
			location, what string
		}{{in.Context > 0, "query.context", "lines around matches"}, {in.Cursor != "", "query.cursor", "a page of matches"}} {
			if p.set {
				return invalid(p.location, "without grep there are no "+strings.TrimPrefix(p.what, "a "), nil)
			}
		}
		return nil
	}
	if c.pattern, err = regexp.Compile(in.Grep); err != nil {
		message := "it is no regular expression"
		var bad *syntax.Error
		if errors.As(err, &bad) {
			message += ": " + bad.Code.String() + " in " + cut(bad.Expr)
		}
		return invalid("query.grep", message, in.Grep)
	}
	if in.Cursor == "" || in.Cursor == "0" {
		return nil
	}
	offset, number, ok := strings.Cut(in.Cursor, ".")
	c.cursor.Offset, err = strconv.ParseUint(offset, 10, 62)
	if err == nil {
		c.cursor.Number, err = strconv.ParseUint(number, 10, 62)
	}
	if !ok || err != nil || c.cursor.Number == 0 || c.cursor.Offset > joblog.MaxOffset {
		return invalid("query.cursor", "it is not the next of a page", in.Cursor)
	}
	return nil
}

func nextPage(m logtext.Mark) string {
	return strconv.FormatUint(m.Offset, 10) + "." + strconv.FormatUint(m.Number, 10)
}

// fits refuses what the form that is asked for can't give.
func (in *logsInput) fits() error {
	if !in.streams() {
		if in.Follow == "true" {
			return invalid("query.follow", "only a stream follows: send the header Accept: "+streamType, nil)
		}
		return nil
	}
	for _, p := range []struct {
		set      bool
		location string
	}{{in.Grep != "", "query.grep"}, {in.Timestamps, "query.timestamps"}, {in.Numbers, "query.line_numbers"}, {in.ANSI == "strip", "query.ansi"}, {in.Download, "query.download"}} {
		if p.set {
			return invalid(p.location, "it is for text; a stream has the bytes as they were written, with their times", nil)
		}
	}
	if in.Follow != "false" && in.Until != "" {
		return invalid("query.until", "a stream that follows has no end of its own; add follow=false", nil)
	}
	if in.Follow != "false" && in.Lines != "" {
		return invalid("query.lines", "a stream that follows can't be chosen by line; add follow=false", nil)
	}
	return nil
}

// logPart is what was chosen of a log: [from, to) of the text.
type logPart struct {
	text     logtext.Text // its end is to
	from, to uint64
	whole    bool // no more bytes come to the log
}

// part finds the places that were chosen.
func (s *server) part(ctx context.Context, key joblog.Key, c logChoice) (p logPart, err error) {
	_, p.whole = s.Logs.Ended(key) // before the head is taken
	p.text = logtext.Text{Source: s.Logs, Key: key, Tag: c.tag, End: s.Logs.Head(key)}
	p.to = p.text.End
	if c.step != "" {
		if err := s.narrowToStep(ctx, &p, c.step); err != nil {
			return p, err
		}
	}
	at := func(find func() (uint64, error), set bool, to *uint64, narrower func(a, b uint64) uint64) {
		if set && err == nil {
			var offset uint64
			offset, err = find()
			*to = narrower(*to, offset)
		}
	}
	later, earlier := func(a, b uint64) uint64 { return max(a, b) }, func(a, b uint64) uint64 { return min(a, b) }
	at(func() (uint64, error) { return p.text.Time(ctx, c.since) }, c.since > 0, &p.from, later)
	at(func() (uint64, error) { return p.text.Time(ctx, c.until) }, c.until > 0, &p.to, earlier)
	at(func() (uint64, error) { return p.text.Line(ctx, c.first) }, c.first > 0, &p.from, later)
	at(func() (uint64, error) { return p.text.Line(ctx, c.last+1) }, c.last > 0, &p.to, earlier)
	p.text.End, p.from = p.to, min(p.from, p.to)
	at(func() (uint64, error) { return p.text.Tail(ctx, p.from, uint64(c.tail)) }, c.tail >= 0, &p.from, later)
	return p, err
}

// narrowToStep chooses what a step wrote.
func (s *server) narrowToStep(ctx context.Context, p *logPart, text string) error {
	steps, err := s.stepsOf(ctx, p.text.Key)
	if err != nil {
		return err
	}
	step, err := findStep(steps, text)
	if err != nil {
		return err
	}
	p.from = min(*step.From, p.to)
	if step.To != nil {
		p.to = min(*step.To, p.to)
	}
	return nil
}
