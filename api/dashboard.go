package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/api/ui"
)

// dashboard serves the pages at / and what they load. They are open to all: what
// they show they ask of the API, as who is signed in.
func dashboard(e *echo.Echo) {
	pages := echo.WrapHandler(ui.Handler())
	for _, path := range ui.Paths {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, pages)
	}
}
