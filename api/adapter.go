package api

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/api/wire"
)

// newAdapter returns huma's adapter for echo, which takes a colon in a path for
// the beginning of a parameter, such that /v1/jobs:batch is what it says.
func newAdapter(e *echo.Echo) huma.Adapter {
	return colons{humaecho.New(e, huma.Config{OpenAPI: &huma.OpenAPI{}}).Adapter()}
}

type colons struct{ huma.Adapter }

func (a colons) Handle(op *huma.Operation, handler func(huma.Context)) {
	escaped := *op
	escaped.Path = strings.ReplaceAll(op.Path, ":", `\:`)
	a.Adapter.Handle(&escaped, handler)
}

// secure sets the headers that keep a browser from doing more with an answer
// than showing it.
func secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		if c.Request().ContentLength > MaxBody {
			return tooLarge(c)
		}
		c.Request().Body = http.MaxBytesReader(c.Response().Writer, c.Request().Body, MaxBody)
		return next(c)
	}
}

// drained is how much of a body that is too large is read all the same: a client
// that is still sending would see a broken connection instead of the answer.
const drained = 16 * MaxBody

func tooLarge(c echo.Context) error {
	_, _ = io.CopyN(io.Discard, c.Request().Body, drained)
	c.Response().Header().Set("Connection", "close")
	p := wire.NewProblem(http.StatusRequestEntityTooLarge, "too_large",
		fmt.Sprintf("the body has %d bytes, the limit is %d", c.Request().ContentLength, MaxBody))
	p.Errors = []wire.Detail{{Location: "body", Message: p.Detail}}
	return p
}
