package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/logtext"
)

// Limits of searches.
const (
	searchTime   = 10 * time.Second // for one page, or for a whole text
	maxSearches  = 8                // at once
	maxLineText  = 4 << 10          // bytes of a line shown on a page
	maxPageText  = 4 << 20          // bytes of all of them; then the page is full
	maxPageLines = 20_000           // lines of a page, those around matches among them
)

// begin takes a place for a search that lasts as long as its context, but not
// longer than the server, or says that there is none.
func (s *server) begin(ctx context.Context) (context.Context, func(), error) {
	if s.searches.Add(1) > maxSearches {
		s.searches.Add(-1)
		p := wire.NewProblem(http.StatusTooManyRequests, "busy", fmt.Sprintf("%d searches are under way, more may not be", maxSearches))
		p.Help = "try again in a moment"
		return nil, nil, p
	}
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-ctx.Done():
		case <-s.done:
			cancel()
		}
	})
	return ctx, func() {
		cancel()
		watching.Wait()
		s.searches.Add(-1)
	}, nil
}

// place is where a search begins: at the cursor, else where the part does.
func (p *logPart) place(ctx context.Context, c logChoice) (logtext.Mark, error) {
	if c.cursor.Number > 0 {
		return logtext.Mark{Offset: min(max(c.cursor.Offset, p.from), p.to), Number: c.cursor.Number}, nil
	}
	number, err := p.text.Number(ctx, p.from)
	return logtext.Mark{Offset: p.from, Number: number}, err
}

func (c *logChoice) searched() logtext.Search {
	return logtext.Search{Pattern: c.pattern, Strip: c.style.Strip, Context: c.context}
}

// searchLog answers with a page of what a search finds.
func (s *server) searchLog(ctx context.Context, p logPart, c logChoice) (*huma.StreamResponse, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	page := searchPage{limit: c.limit, context: uint64(c.context), out: wire.LogSearch{Attempt: p.text.Key.Attempt, Lines: []wire.LogLine{}}}
	from, err := p.place(ctx, c)
	next := from
	if err == nil {
		page.out.Count, next, err = p.text.Search(ctx, c.searched(), from, p.to, page.add)
	}
	switch timeUp := errors.Is(err, context.DeadlineExceeded); {
	case err != nil && !timeUp:
		return nil, err
	case timeUp && next == from: // another page would not come further
		return nil, tookTooLong()
	default:
		page.out.Complete, page.out.Searched = !timeUp, next.Offset-from.Offset
	}
	switch {
	case page.full:
		page.out.Next = nextPage(page.next)
	case !page.out.Complete:
		page.out.Next = nextPage(next)
	}
	body, err := json.Marshal(page.out)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", jsonType)
		hc.SetHeader("Cache-Control", "no-store")
		_, _ = hc.BodyWriter().Write(body) // whoever left does not miss it
	}}, nil
}

// searchPage gathers lines until it is full.
type searchPage struct {
	out     wire.LogSearch
	limit   int
	context uint64
	matches int
	last    uint64 // number of the last match
	text    int
	full    bool
	next    logtext.Mark // the first match that did not fit
}

func (p *searchPage) add(l *logtext.Line) error {
	if p.full {
		return nil // the others are only counted
	}
	if l.Match && (p.matches == p.limit || p.text >= maxPageText || len(p.out.Lines) >= maxPageLines) {
		p.full, p.next = true, logtext.Mark{Offset: l.Offset, Number: l.Number}
		for n := len(p.out.Lines); n > 0 && p.out.Lines[n-1].Line > p.last+p.context; n-- {
			p.out.Lines = p.out.Lines[:n-1] // these are around the one that did not fit
		}
		return nil
	}
	text := l.Text[:min(len(l.Text), maxLineText)]
	p.text += len(text)
	if l.Match {
		p.matches, p.last = p.matches+1, l.Number
	}
	p.out.Lines = append(p.out.Lines, wire.LogLine{
		Line: l.Number, Offset: l.Offset, End: l.End, Time: instant(l.Time), Match: l.Match,
		Text: strings.ToValidUTF8(string(text), "\ufffd"), Cut: l.Cut || len(text) < len(l.Text),
	})
	return nil
}

func tookTooLong() error {
	p := wire.NewProblem(http.StatusServiceUnavailable, "unavailable", "the search was not done after "+shortDuration(int64(searchTime)))
	p.Help = "search less of it, by step, since, until or lines; or page by page, as " + jsonType
	p.Errors = []wire.Detail{{Location: "query.grep", Message: p.Detail}}
	return p
}

// grepLog answers with the lines that a search finds, as text.
func (s *server) grepLog(p logPart, c logChoice) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		w := s.newTextWriter(hc, p, c)
		w.Header().Set("Accept-Ranges", "none")
		if hc.Method() == http.MethodHead {
			return
		}
		s.untilOver(hc.Context(), w, stopWrite, func(ctx context.Context) { s.writeFound(ctx, hc, w, p, c) })
	}}, nil
}

func (s *server) writeFound(ctx context.Context, hc huma.Context, w *textWriter, p logPart, c logChoice) {
	searching, end, err := s.begin(ctx)
	if err == nil {
		defer end()
		err = p.grep(searching, w, c)
	}
	switch {
	case err == nil || w.left:
	case humaecho.Unwrap(hc).Response().Committed:
		s.cutOff(searching, p, err)
	case errors.Is(err, context.DeadlineExceeded):
		s.refuse(hc, s.told(tookTooLong()))
	default:
		s.refuse(hc, s.told(err))
	}
}

// grep writes the lines that match. Nothing is written before the first of them.
func (p *logPart) grep(ctx context.Context, w *textWriter, c logChoice) error {
	from, err := p.place(ctx, c)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, flushBytes)
	lines := p.text.NewLines(ctx, out, c.style, c.context > 0)
	if _, _, err = p.text.Search(ctx, c.searched(), from, p.to, lines.Print); err != nil {
		return err
	}
	return out.Flush()
}
