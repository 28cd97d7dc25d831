package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/api/wire"
)

const (
	jsonType    = "application/json"
	problemType = "application/problem+json"
	streamType  = "text/event-stream"
)

// newAdapter returns huma's adapter for echo with what it lacks.
func newAdapter(e *echo.Echo) huma.Adapter {
	return adapter{humaecho.New(e, huma.Config{OpenAPI: &huma.OpenAPI{}}).Adapter()}
}

type adapter struct{ huma.Adapter }

// Handle escapes colons, which echo would take for the beginning of a parameter
// (as in /v1/jobs:batch), and answers HEAD where there is GET.
func (a adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	escaped := *op
	escaped.Path = strings.ReplaceAll(op.Path, ":", `\:`)
	a.Adapter.Handle(&escaped, handler)
	if op.Method == http.MethodGet {
		head := escaped
		head.Method = http.MethodHead
		a.Adapter.Handle(&head, handler)
	}
}

// Headers that keep a browser from doing more with an answer than showing it.
var (
	noSniff    = []string{"nosniff"}
	noContent  = []string{"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
)

// guard sets headers and refuses bodies that no route takes. A body has
// bodyTimeout to arrive, whoever reads it: net/http would wait for it for ever
// before it sends a refusal.
func (s *server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h["X-Content-Type-Options"] = noSniff
		h["Content-Security-Policy"] = noContent
		h["Referrer-Policy"] = noReferrer
		r := c.Request()
		if r.ContentLength == 0 {
			return next(c)
		}
		body := &timedBody{ReadCloser: r.Body, rc: http.NewResponseController(c.Response()), over: make(chan struct{})}
		body.limit(bodyTimeout)
		defer body.until(s.done)()
		c.Response().Before(func() {
			if !body.whole {
				h.Set("Connection", "close")
				body.limit(drainTime)
			}
		})
		r.Body = body
		switch kind := r.Header.Get("Content-Type"); {
		case r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete:
			return noBody(r.Method)
		case r.ContentLength > maxBody:
			return tooLarge(c)
		case !isJSON(kind):
			return unsupported(kind)
		case r.Header.Get("Content-Encoding") != "" && r.Header.Get("Content-Encoding") != "identity":
			return encoded(r.Header.Get("Content-Encoding"))
		}
		r.Body = http.MaxBytesReader(c.Response().Writer, body, maxBody)
		return next(c)
	}
}

// timedBody is a request's body that has a limited time to arrive.
type timedBody struct {
	io.ReadCloser
	rc    *http.ResponseController
	whole bool          // all of it was read
	over  chan struct{} // closed when it was read or will not be
}

// until lets a body that is slow not hold up a server that stops. What it returns is
// called when the body is not read any more.
func (b *timedBody) until(done <-chan struct{}) (end func()) {
	slow := time.AfterFunc(stopWrite, func() {
		select {
		case <-done:
			b.limit(stopWrite)
		case <-b.over:
		}
	})
	return func() {
		slow.Stop()
		close(b.over)
	}
}

func (b *timedBody) limit(d time.Duration) { _ = b.rc.SetReadDeadline(time.Now().Add(d)) } // a recorder has none

// Read lifts the limit at the end of the body: what is done with it may take
// longer.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && !b.whole {
		b.whole = true
		_ = b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

func noBody(method string) *wire.Problem {
	message := method + " takes no body"
	p := wire.NewProblem(http.StatusBadRequest, "invalid", message)
	p.Errors = []wire.Detail{{Location: "body", Message: message}}
	return p
}

// isJSON takes a body that names no type for JSON, as all bodies are.
func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "" || kind == jsonType || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}

func unsupported(contentType string) *wire.Problem {
	const where = "header.Content-Type"
	message := "the body must be " + jsonType + ", this is " + cut(contentType)
	p := wire.NewProblem(http.StatusUnsupportedMediaType, "invalid", message)
	p.Help = "send the header Content-Type: " + jsonType
	p.Errors = []wire.Detail{{Location: where, Message: message, Value: cut(contentType)}}
	return p
}

func encoded(how string) *wire.Problem {
	message := "the body must be sent as it is, this is " + cut(how)
	p := wire.NewProblem(http.StatusUnsupportedMediaType, "invalid", message)
	p.Errors = []wire.Detail{{Location: "header.Content-Encoding", Message: message, Value: cut(how)}}
	return p
}

const (
	// drained is how much of a body that is too large is read all the same, and
	// drainTime for how long: a client that is still sending would see a broken
	// connection instead of the answer.
	drained   = 16 * maxBody
	drainTime = 5 * time.Second
)

func tooLarge(c echo.Context) error {
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(drainTime)) // a recorder has none
	_, _ = io.CopyN(io.Discard, c.Request().Body, drained)
	return bodyTooLarge(fmt.Sprintf("the body has %d bytes, at most %d may be", c.Request().ContentLength, maxBody))
}

func bodyTooLarge(message string) *wire.Problem {
	p := wire.NewProblem(http.StatusRequestEntityTooLarge, "too_large", message)
	p.Errors = []wire.Detail{{Location: "body", Message: message}}
	return p
}
