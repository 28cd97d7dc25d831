package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	retryAfter = time.Second // what a caller is told to wait when the server is busy
	maxShown   = 64          // bytes of a wrong value that are sent back
	maxPlace   = 256         // bytes of a place that are sent back
	maxMessage = 1024        // bytes of what is said of one fault
	maxFaults  = 50          // faults that one problem names
)

// retryAfterText is retryAfter as a header says it.
var retryAfterText = strconv.Itoa(int(retryAfter / time.Second))

// statuses maps an error's kind to its status. It is the only place that does; the
// kind's name goes out as it is.
var statuses = map[fault.Kind]int{
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.NotFound:        http.StatusNotFound,
	fault.Refused:         http.StatusConflict,
	fault.Conflict:        http.StatusConflict,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Forbidden:       http.StatusForbidden,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Busy:            http.StatusTooManyRequests,
	fault.Internal:        http.StatusInternalServerError,
}

// register adds a route whose handler's errors become problems.
func register[I, O any](s *server, api huma.API, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, s.answer(err)
		}
		return out, nil
	})
}

// answer turns an error into the problem that is sent.
func (s *server) answer(err error) error {
	p := s.told(err)
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {retryAfterText}})
	}
	return p
}

// told is the problem for an error; what the caller can't do anything about is
// logged and not shown.
func (s *server) told(err error) *wire.Problem {
	p := problem(err)
	if p == nil || p.Status == http.StatusInternalServerError {
		s.Logger.Error("request failed", slog.Any("error", err), slog.Any("cause", errors.Unwrap(err)))
		p = internal()
	}
	return p
}

// problem turns an error into what its caller is told; nil if that is nothing.
func problem(err error) *wire.Problem {
	var p *wire.Problem
	var f *fault.Error
	var failed *eventstore.FailedError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &f):
		return faulty(f)
	case errors.As(err, &failed), errors.Is(err, eventstore.ErrClosed):
		return wire.NewProblem(http.StatusServiceUnavailable, "unavailable", "the event store has stopped; the server must be restarted")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return wire.NewProblem(http.StatusServiceUnavailable, "unavailable", "the request was given up before it was answered")
	}
	return nil
}

func faulty(f *fault.Error) *wire.Problem {
	status, ok := statuses[f.Kind]
	if !ok {
		return nil
	}
	p := wire.NewProblem(status, f.Kind.String(), f.Error())
	p.Help = f.Help
	p.Detail = cutTo(p.Detail, maxMessage)
	for _, d := range f.Fields[:min(len(f.Fields), maxFaults)] {
		p.Errors = append(p.Errors, detail(place(d.Location), d.Message, d.Value, d.Help))
	}
	return p
}

// place is where something stands in a request, as all answers say it: body.env.A,
// query.limit, header.Accept, path.id. What a fault is about was in the body, but
// for the key.
func place(inBody string) string {
	switch inBody {
	case "":
		return "body"
	case "idempotency_key":
		return "header.Idempotency-Key"
	}
	return "body." + inBody
}

// ofJob says of a problem with one job of a batch which one it is.
func ofJob(i int, p *wire.Problem) *wire.Problem {
	for k := range p.Errors {
		if rest, ok := strings.CutPrefix(p.Errors[k].Location, "body"); ok {
			p.Errors[k].Location = fmt.Sprintf("body.jobs[%d]%s", i, rest)
		}
	}
	return p
}

// detail is a fault as it is sent: whatever the caller sent, it is short.
func detail(location, message string, value any, help string) wire.Detail {
	return wire.Detail{Location: cutTo(location, maxPlace), Message: cutTo(message, maxMessage), Value: shown(value), Help: help}
}

func internal() *wire.Problem {
	return wire.NewProblem(http.StatusInternalServerError, "internal", "internal error; the server's log says more")
}

// invalid says what is wrong at one place.
func invalid(location, message string, value any) *wire.Problem {
	p := wire.NewProblem(http.StatusUnprocessableEntity, "invalid", cutTo(location, maxPlace)+": "+message)
	p.Errors = []wire.Detail{detail(location, message, value, "")}
	return p
}

// missing says that there is nothing by that name.
func missing(location, what, name, help string) *wire.Problem {
	message := "there is no " + what + " " + cut(name)
	p := wire.NewProblem(http.StatusNotFound, "not_found", message)
	p.Help = help
	p.Errors = []wire.Detail{{Location: location, Message: message}}
	return p
}

// shown is a wrong value as it is sent back: cut, and left out if there is none or
// it is a list or an object.
func shown(value any) any {
	switch v := value.(type) {
	case string:
		if v != "" {
			return cut(v)
		}
	case bool, int, int64, uint64, float64:
		return v
	}
	return nil
}

func cut(text string) string { return cutTo(text, maxShown) }

func cutTo(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := 0
	for i := range text {
		if i > most {
			break
		}
		end = i
	}
	return text[:end] + "…"
}

// newError makes huma's own errors (what it finds wrong with parameters and
// bodies) problems like ours.
func newError(status int, message string, errs ...error) huma.StatusError {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return bodyTooLarge(fmt.Sprintf("the body is too large, at most %d bytes may be", maxBody))
	case status >= http.StatusInternalServerError && errors.Is(errors.Join(errs...), io.ErrUnexpectedEOF):
		status, message, errs = http.StatusBadRequest, "the body ends too early", nil
	case status >= http.StatusInternalServerError:
		return internal()
	case status == http.StatusRequestTimeout:
		message, errs = "the body did not arrive in time", nil
	}
	message = inOurWords(message)
	p := wire.NewProblem(status, "invalid", message)
	for _, err := range errs[:min(len(errs), maxFaults)] {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			continue // it is not written for people
		}
		det := d.ErrorDetail()
		p.Errors = append(p.Errors, detail(det.Location, inOurWords(det.Message), det.Value, ""))
	}
	if len(p.Errors) == 0 {
		p.Errors = []wire.Detail{{Location: "body", Message: message}}
	}
	p.Detail = p.Errors[0].Location + ": " + p.Errors[0].Message
	return p
}

func init() {
	huma.NewError = newError
	huma.DefaultArrayNullable = false // what has no value is left out
}

// routeError answers what no route answered: an unknown path, a wrong method.
func (s *server) routeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := routeProblem(err, c)
	if p == nil {
		s.Logger.Error("request failed", slog.Any("error", err), slog.String("path", c.Path()))
		p = internal()
	}
	c.Response().Header().Set("Content-Type", problemType)
	if err := c.JSON(p.Status, p); err != nil {
		s.Logger.Debug("client left before its answer", slog.Any("error", err))
	}
}

func routeProblem(err error, c echo.Context) *wire.Problem {
	if p := problem(err); p != nil {
		return p
	}
	var he *echo.HTTPError
	if !errors.As(err, &he) {
		return nil
	}
	path := cut(c.Request().URL.Path)
	switch he.Code {
	case http.StatusNotFound:
		p := wire.NewProblem(he.Code, "not_found", "there is nothing at "+path)
		p.Help = "all routes: /docs or /openapi.json"
		p.Errors = []wire.Detail{detail("path", p.Detail, nil, "")}
		return p
	case http.StatusMethodNotAllowed:
		p := wire.NewProblem(he.Code, "invalid", c.Request().Method+" is not possible at "+path)
		p.Errors = []wire.Detail{detail("method", p.Detail, nil, "")}
		return p
	}
	return wire.NewProblem(he.Code, "invalid", http.StatusText(he.Code))
}

// recover turns a panic of a handler into a 500 and a stack in the log; the
// commands and the World have no state of a request that could be left half done.
// An answer that had begun is cut off, so that nobody takes it for whole.
func (s *server) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			if r != http.ErrAbortHandler {
				s.Logger.Error("panic in a handler", slog.Any("panic", r), slog.String("path", c.Path()), slog.String("stack", string(debug.Stack())))
			}
			if r == http.ErrAbortHandler || c.Response().Committed {
				panic(http.ErrAbortHandler)
			}
			err = internal()
		}()
		return next(c)
	}
}
