package api

import (
	"context"
	"encoding/json"
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
	Cursor string `query:"cursor" doc:"Go on after this position: the next of a page, or any position"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"At most so many items"`
	Newest bool   `query:"newest" doc:"Begin with the newest instead of the first events"`
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
	op.Responses = map[string]*huma.Response{"200": {Description: "Events", Content: map[string]*huma.MediaType{
		jsonType:   {Schema: api.OpenAPI().Components.Schemas.Schema(typeOf[wire.Events](), true, "Events")},
		streamType: {Schema: api.OpenAPI().Components.Schemas.Schema(typeOf[wire.Event](), true, "Event")},
	}}}
	register(s, api, op, func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		if p := who(ctx); !p.sees(token.AllNamespaces) {
			return nil, forbidden("header.Authorization", "the event log is shown to tokens for all namespaces; this one is for "+p.namespace)
		}
		after, err := parsePosition(in)
		if err != nil {
			return nil, err
		}
		f, err := in.filter()
		if err != nil {
			return nil, err
		}
		if strings.Contains(in.Accept, streamType) {
			return s.stream(ctx, func(ctx context.Context, out *sse.Writer) { s.followEvents(ctx, out, after, f) })
		}
		page, err := s.eventPage(ctx, after, in, f)
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

func parsePosition(in *eventsInput) (eventstore.Position, error) {
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
	return eventstore.Position(n), nil
}

// eventPage reads one page. With a filter it may look at many records that
// don't pass; it looks at no more than scanLimit and then answers what it has.
func (s *server) eventPage(ctx context.Context, after eventstore.Position, in *eventsInput, f eventstore.Filter) (*wire.Events, error) {
	head := s.Runner.World().Position
	if in.Newest && after == 0 {
		return s.newestEvents(ctx, head, in.Limit, f)
	}
	page := &wire.Events{Items: []wire.Event{}}
	from := after + 1
	for looked := eventstore.Position(0); from <= head && len(page.Items) < in.Limit && looked < scanLimit; {
		records, next, err := s.Store.ReadAll(ctx, nil, from, in.Limit-len(page.Items), f)
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

// newestEvents reads the last page: windows that double, from the head backwards.
func (s *server) newestEvents(ctx context.Context, head eventstore.Position, limit int, f eventstore.Filter) (*wire.Events, error) {
	page := &wire.Events{Items: []wire.Event{}}
	for window := eventstore.Position(limit); ; window *= 2 {
		from := eventstore.Position(1)
		if head > window {
			from = head - window + 1
		}
		var records []*eventstore.Record
		for at := from; at <= head; {
			var err error
			if records, at, err = s.Store.ReadAll(ctx, records, at, int(head-at+1), f); err != nil {
				return nil, err
			}
		}
		for len(records) > 0 && records[len(records)-1].Position > head {
			records = records[:len(records)-1]
		}
		if len(records) >= limit || from == 1 || window >= scanLimit {
			for _, r := range records[max(0, len(records)-limit):] {
				page.Items = append(page.Items, eventView(r))
			}
			return page, nil
		}
	}
}
