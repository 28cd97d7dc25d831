package api

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/api/wire"
)

// stream answers with a long-lived stream, if there is a place for one more.
func (s *server) stream(body func(huma.Context)) (*huma.StreamResponse, error) {
	select {
	case s.streams <- struct{}{}:
	default:
		p := wire.NewProblem(http.StatusTooManyRequests, "busy", "too many event streams are open: the limit is "+strconv.Itoa(MaxStreams))
		p.Help = "close some, or try again later"
		return nil, s.answer(p)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { <-s.streams }()
		body(hc)
	}}, nil
}
