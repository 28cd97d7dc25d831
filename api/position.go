package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
)

const (
	minPosition  = "min_position"  // a parameter of every GET
	positionWait = 5 * time.Second // until the World includes it
)

// freshen waits until what is read includes the position that the caller has seen:
// one that has written by one server reads its own write from another. It takes the
// parameter out of the query, for no route reads it.
func (s *server) freshen(ctx huma.Context) *wire.Problem {
	r := humaecho.Unwrap(ctx).Request()
	query := r.URL.Query()
	text := query.Get(minPosition)
	if !query.Has(minPosition) || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	query.Del(minPosition)
	r.URL.RawQuery = query.Encode()
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return invalid("query."+minPosition, "it is not a position such as 1234", text)
	}
	waiting, cancel := context.WithTimeout(ctx.Context(), positionWait)
	defer cancel()
	if s.Runner.WaitFor(waiting, eventstore.Position(n)) != nil {
		p := wire.NewProblem(http.StatusServiceUnavailable, "unavailable", fmt.Sprintf("event #%d has not come here in %s; the newest is #%d", n, positionWait, s.Runner.World().Position))
		p.Help = "try again, or leave " + minPosition + " out"
		return p
	}
	return nil
}

// documentPosition adds the parameter to every GET that needs a token.
func documentPosition(o *huma.OpenAPI) {
	least := 0.0
	for _, item := range o.Paths {
		if item.Get == nil || item.Get.Metadata[openKey] != nil {
			continue
		}
		item.Get.Parameters = append(item.Get.Parameters, &huma.Param{
			Name: minPosition, In: "query", Example: 1234, Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: &least},
			Description: "Answer with what includes this position of the log: whoever has written by another server, or has seen an event, reads no older state",
		})
	}
}
