package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/logtext"
)

const textType = "text/plain; charset=utf-8"

// writeLog writes a part of a log as text. Bytes that are not changed have a
// length that is said first, ranges, and an ETag once no more come.
func (s *server) writeLog(hc huma.Context, p logPart, c logChoice) {
	w := s.newTextWriter(hc, p, c)
	s.untilOver(hc.Context(), w, stopWrite, func(ctx context.Context) { s.writeText(ctx, hc, w, p, c) })
}

func (s *server) writeText(ctx context.Context, hc huma.Context, w *textWriter, p logPart, c logChoice) {
	if c.style.Plain() && c.tag == 0 {
		s.serveBytes(ctx, hc, w, p)
		return
	}
	w.Header().Set("Accept-Ranges", "none")
	number := uint64(1)
	if c.style.Numbers {
		var err error
		if number, err = p.text.Number(ctx, p.from); err != nil {
			s.cutOff(ctx, p, err)
		}
	}
	w.WriteHeader(http.StatusOK)
	if hc.Method() == http.MethodHead {
		return
	}
	if err := p.text.Copy(ctx, logtext.NewPrinter(w, c.style, number), p.from, p.to); err != nil && !w.left {
		s.cutOff(ctx, p, err)
	}
}

// serveBytes writes bytes as they are, or the range that is asked for. Of several
// ranges none is heeded, as the standard allows.
func (s *server) serveBytes(ctx context.Context, hc huma.Context, w *textWriter, p logPart) {
	r := humaecho.Unwrap(hc).Request()
	if strings.Contains(r.Header.Get("Range"), ",") {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	if p.whole {
		w.Header().Set("ETag", fmt.Sprintf(`"%s-%d-%d-%d"`, p.text.Key.Job, p.text.Key.Attempt, p.from, p.to))
		w.Header().Set("Cache-Control", "private, no-cache")
	}
	content := p.text.NewReader(ctx, p.from, p.to)
	http.ServeContent(w, r, "", time.Time{}, content)
	switch {
	case w.unsatisfied:
		message := fmt.Sprintf("the range begins after the end: there are %d bytes", p.to-p.from)
		bad := wire.NewProblem(http.StatusRequestedRangeNotSatisfiable, "invalid", message)
		bad.Errors = []wire.Detail{{Location: "header.Range", Message: message, Value: shown(r.Header.Get("Range"))}}
		s.refuse(hc, bad)
	case content.Err() != nil && !w.left:
		s.cutOff(ctx, p, content.Err())
	}
}

// cutOff ends an answer that can't be finished such that nobody takes it for whole.
func (s *server) cutOff(ctx context.Context, p logPart, err error) {
	if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		s.Logger.Error("cannot read a job's log", "job", p.text.Key.Job.String(), "attempt", p.text.Key.Attempt, "error", err)
	}
	panic(http.ErrAbortHandler)
}

// textWriter writes an answer to a client that may take long to read all of it,
// but not for one write.
type textWriter struct {
	http.ResponseWriter
	control     *http.ResponseController
	limit       time.Duration // of one write
	left        bool          // the client has left, or did not read for too long
	unsatisfied bool          // there is no such range; nothing was written

	mu   sync.Mutex
	last time.Time // of all writes, zero if they have no end; guarded by mu
}

// newTextWriter sets the headers of a text.
func (s *server) newTextWriter(hc huma.Context, p logPart, c logChoice) *textWriter {
	w := humaecho.Unwrap(hc).Response()
	h := w.Header()
	h.Set("Content-Type", textType)
	h.Set("Cache-Control", "no-store")
	h.Set("Log-Attempt", strconv.FormatUint(uint64(p.text.Key.Attempt), 10))
	h.Set("Log-Offset", strconv.FormatUint(p.from, 10))
	if c.download {
		h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%d.log"`, p.text.Key.Job, p.text.Key.Attempt))
	}
	return &textWriter{ResponseWriter: w, control: http.NewResponseController(w), limit: s.writeLimit}
}

// WriteHeader keeps the answer to a range that is not there for a problem.
func (w *textWriter) WriteHeader(status int) {
	if w.unsatisfied = status == http.StatusRequestedRangeNotSatisfiable; !w.unsatisfied {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *textWriter) Write(b []byte) (int, error) {
	if w.unsatisfied {
		return len(b), nil
	}
	w.mu.Lock()
	deadline := time.Now().Add(w.limit)
	if !w.last.IsZero() && w.last.Before(deadline) {
		deadline = w.last
	}
	_ = w.control.SetWriteDeadline(deadline) // a recorder has none
	w.mu.Unlock()
	n, err := w.ResponseWriter.Write(b)
	w.left = w.left || err != nil
	return n, err
}

// Hurry gives the whole rest no longer than that to be accepted. Safe for concurrent
// use until the handler returns.
func (w *textWriter) Hurry(limit time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now().Add(limit)
	return w.control.SetWriteDeadline(w.last)
}
