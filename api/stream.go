package api

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
)

// flushBytes is how much of a stream is gathered before it is sent on while more
// is at hand.
const flushBytes = 64 << 10

// prefers says whether an Accept header asks for one type of answer by name, and
// for nothing else more. Not every client that says */* can read a stream.
func prefers(accept, wanted string) bool {
	named, other := 0.0, 0.0
	for _, one := range strings.Split(accept, ",") {
		kind, parameters, err := mime.ParseMediaType(one)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := parameters["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		if kind == wanted {
			named = max(named, q)
		} else {
			other = max(other, q)
		}
	}
	return named > 0 && named >= other
}

// varies tells caches that the answer depends on Accept.
func varies(ctx huma.Context, next func(huma.Context)) {
	ctx.SetHeader("Vary", "Accept")
	next(ctx)
}

// streams counts the event streams that are open.
type streams struct {
	most, mostEach int // in all, and of one token

	mu   sync.Mutex
	all  int
	each map[string]int // by token
}

// enter takes a place for a stream, or says why there is none.
func (s *streams) enter(actor string) *wire.Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p *wire.Problem
	switch {
	case s.all >= s.most:
		p = wire.NewProblem(http.StatusTooManyRequests, "busy", fmt.Sprintf("%d event streams are open, more may not be", s.all))
	case s.each[actor] >= s.mostEach:
		p = wire.NewProblem(http.StatusTooManyRequests, "busy", fmt.Sprintf("%d event streams of this token are open, more may not be", s.each[actor]))
	}
	if p != nil {
		p.Help = "close some, or try again later"
		return p
	}
	if s.each == nil {
		s.each = map[string]int{}
	}
	s.all++
	s.each[actor]++
	return nil
}

func (s *streams) leave(actor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.each[actor]--; s.each[actor] == 0 {
		delete(s.each, actor)
	}
}

const (
	tokenLook = 5 * time.Second // how often a stream's token is looked at, busy or not
	stopWrite = time.Second     // what a client may take to accept the rest when the server stops or its token ends
)

// stream answers with an event stream, if there is a place for one more. It ends
// when run returns; run ends with its context, which does when the client leaves,
// the server stops or the token is no longer valid.
func (s *server) stream(ctx context.Context, run func(context.Context, *sse.Writer)) (*huma.StreamResponse, error) {
	actor := who(ctx).actor
	if p := s.streams.enter(actor); p != nil {
		return nil, s.answer(p)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer s.streams.leave(actor)
		if s.Metrics != nil {
			s.Metrics.Stream(1)
			defer s.Metrics.Stream(-1)
		}
		out := sse.NewLimitedWriter(humaecho.Unwrap(hc).Response(), s.writeLimit)
		if hc.Method() == http.MethodHead {
			return
		}
		s.untilOver(hc.Context(), out, 0, func(ctx context.Context) { run(ctx, out) })
	}}, nil
}

// hurrier is what an answer is written to that may take long: Hurry gives what is
// under way, and all after it, no longer than that to be accepted.
type hurrier interface{ Hurry(time.Duration) error }

// untilOver calls run, whose context ends a while after it has to: when the client
// has left, the server stops or the token is no longer valid.
func (s *server) untilOver(ctx context.Context, out hurrier, after time.Duration, run func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { s.watchOver(ctx, cancel, out, after) })
	defer watching.Wait() // out is this request's alone
	defer cancel()
	run(ctx)
}

// watchOver ends the context of an answer when it has to end, though it may be busy,
// or wait for its client.
func (s *server) watchOver(ctx context.Context, cancel func(), out hurrier, after time.Duration) {
	look := time.NewTicker(tokenLook)
	defer look.Stop()
	for !s.over(ctx) {
		select {
		case <-ctx.Done():
		case <-s.done:
		case <-look.C:
		}
	}
	if ctx.Err() != nil {
		return
	}
	_ = out.Hurry(stopWrite) // an error means that the client has left
	select {
	case <-ctx.Done():
	case <-time.After(after):
	}
	cancel()
}

// over says whether a stream that was woken has to end: its client has left, the
// server stops, or its token is no longer valid.
func (s *server) over(ctx context.Context) bool {
	if ctx.Err() != nil || closed(s.done) {
		return true
	}
	p := *who(ctx)
	return !s.known(&p)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
