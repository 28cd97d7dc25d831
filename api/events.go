package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/eventstore"
)

// eventBatch is how many records a stream reads in one go.
const eventBatch = 512

type eventsInput struct {
	Stream string `query:"stream" maxLength:"128" doc:"Only streams whose name begins so" example:"job-7f3k9qd2"`
	Types  string `query:"type" maxLength:"1024" doc:"Only these types, separated by commas" example:"JobFailed,JobLost"`
	Cursor string `query:"cursor" doc:"Go on after this position, in the order asked for: the next of a page, or any position up to the newest; 0 or nothing is the beginning"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"At most so many items"`
	Order  string `query:"order" enum:"asc,desc" default:"asc" doc:"asc begins with the first event, desc with the newest; a stream is always asc"`
	Accept string `header:"Accept" doc:"text/event-stream follows the log; anything else answers a page"`
	LastID string `header:"Last-Event-ID" doc:"The position of the last event received; the stream goes on after it"`
}

func (in *eventsInput) filter() (f eventstore.Filter, err error) {
	if in.Stream != "" {
		f.Prefixes = []string{in.Stream}
	}
	if in.Types == "" {
		return f, nil
	}
	f.Types = strings.Split(in.Types, ",")
	for _, t := range f.Types {
		if !slices.Contains(event.Types(), t) {
			return f, invalid("query.type", strconv.Quote(cut(t))+" is no type of event", nil)
		}
	}
	return f, nil
}

type eventsOutput struct{ Body wire.Events }

func (s *server) events(api huma.API) {
	op := needs(token.Viewer, huma.Operation{
		OperationID: "listEvents", Method: http.MethodGet, Path: "/v1/events", Tags: []string{"events"},
		Summary: "Read or follow the event log",
		Description: "A page in the order of the log, or, as text/event-stream, every event after the cursor and then each new one: " +
			"none is left out and none comes twice; the id of an event is its position. Needs a token for all namespaces.",
		Errors: []int{http.StatusUnprocessableEntity, http.StatusTooManyRequests},
	})
	op.Middlewares = huma.Middlewares{varies}
	op.Responses = map[string]*huma.Response{"200": {Description: "Events", Content: map[string]*huma.MediaType{
		jsonType:   {Schema: api.OpenAPI().Components.Schemas.Schema(typeOf[wire.Events](), true, "Events")},
		streamType: {Schema: api.OpenAPI().Components.Schemas.Schema(typeOf[wire.Event](), true, "Event")},
	}}}
	register(s, api, op, func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		if p := who(ctx); !p.sees(token.AllNamespaces) {
			return nil, forbidden("header.Authorization", "the event log is shown to tokens for all namespaces; this one is for "+p.namespace)
		}
		after, err := s.parsePosition(ctx, in)
		if err != nil {
			return nil, err
		}
		f, err := in.filter()
		if err != nil {
			return nil, err
		}
		if prefers(in.Accept, streamType) {
			if in.Order == "desc" {
				return nil, invalid("query.order", "a stream goes on with new events; it has no other order", in.Order)
			}
			return s.stream(ctx, func(ctx context.Context, out *sse.Writer) { s.followEvents(ctx, out, after, f) })
		}
		page, err := s.eventPage(ctx, after, in.Limit, f)
		if in.Order == "desc" {
			page, err = s.newestEvents(ctx, after, in.Limit, f)
		}
		if err != nil {
			return nil, err
		}
		return jsonBody(page)
	})
}

// jsonBody answers with JSON where the operation may also stream.
func jsonBody(v any) (*huma.StreamResponse, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", jsonType)
		hc.SetStatus(http.StatusOK)
		_, _ = hc.BodyWriter().Write(b) // an error means that the client has left
	}}, nil
}

// parsePosition reads where to go on, and waits until reads include it.
func (s *server) parsePosition(ctx context.Context, in *eventsInput) (eventstore.Position, error) {
	text, where := in.Cursor, "query.cursor"
	if in.LastID != "" {
		text, where = in.LastID, "header.Last-Event-ID"
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, invalid(where, "it is not a position such as 1234", text)
	}
	if head, _ := s.Store.Wait(); eventstore.Position(n) > head {
		return 0, invalid(where, fmt.Sprintf("there is no event #%s; the newest is #%d", cut(text), head), nil)
	}
	return eventstore.Position(n), s.Runner.WaitFor(ctx, eventstore.Position(n))
}

// eventPage reads one page. With a filter it may look at many records that
// don't pass; it looks at no more than scanLimit and then answers what it has.
func (s *server) eventPage(ctx context.Context, after eventstore.Position, limit int, f eventstore.Filter) (*wire.Events, error) {
	head := s.Runner.World().Position
	page := &wire.Events{Items: []wire.Event{}}
	from := after + 1
	for looked := eventstore.Position(0); from <= head && len(page.Items) < limit && looked < scanLimit; {
		records, next, err := s.Store.ReadAll(ctx, nil, from, limit-len(page.Items), f)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if r.Position <= head {
				page.Items = append(page.Items, eventView(r))
			}
		}
		looked += next - from
		from = next
	}
	if from <= head {
		page.Next = strconv.FormatUint(uint64(from-1), 10)
	}
	return page, nil
}

// scanLimit is how many records one request looks at.
const scanLimit = 200_000

// newestEvents reads a page backwards from before a position, or from the newest
// event: windows that double. As [server.eventPage] it looks at no more than
// scanLimit records.
func (s *server) newestEvents(ctx context.Context, before eventstore.Position, limit int, f eventstore.Filter) (*wire.Events, error) {
	page := &wire.Events{Items: []wire.Event{}}
	head := s.Runner.World().Position
	if before > 0 {
		head = before - 1
	}
	looked := eventstore.Position(0)
	for to, window := head, eventstore.Position(limit); to > 0 && looked < scanLimit; window *= 2 {
		from := to - min(window, to) + 1
		records, err := s.between(ctx, from, to, f)
		if err != nil {
			return nil, err
		}
		for _, r := range slices.Backward(records) {
			if len(page.Items) == limit {
				page.Next = strconv.FormatUint(page.Items[limit-1].Position, 10)
				return page, nil
			}
			page.Items = append(page.Items, eventView(r))
		}
		looked += to - from + 1
		to = from - 1
		if to > 0 {
			page.Next = strconv.FormatUint(uint64(from), 10)
		} else {
			page.Next = ""
		}
		if len(page.Items) == limit {
			break
		}
	}
	return page, nil
}

// between reads the records from one position to another, both included.
func (s *server) between(ctx context.Context, from, to eventstore.Position, f eventstore.Filter) (records []*eventstore.Record, err error) {
	for at := from; at <= to; {
		if records, at, err = s.Store.ReadAll(ctx, records, at, int(to-at+1), f); err != nil {
			return nil, err
		}
	}
	for len(records) > 0 && records[len(records)-1].Position > to {
		records = records[:len(records)-1]
	}
	return records, nil
}
