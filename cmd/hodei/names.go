package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

// names tells what workers are called, for the words of events: those hold ids,
// as a name is known only later, and people think in names. It is used by one
// goroutine.
type names struct {
	ask    func(path string, into any) error
	known  map[string]string // by id; "" is one that has no name, or of which nothing can be learned
	listed bool              // all workers were asked for
}

func (a *app) names(ctx context.Context, cl *client.Client) *names {
	return &names{known: map[string]string{}, ask: func(path string, into any) error {
		raw, err := cl.Raw(ctx, path, nil)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, into)
	}}
}

// of returns a worker's name, or its id where there is none. The first worker
// that is not known asks for all of them, a page: events are of few workers.
func (n *names) of(worker string) string {
	name, ok := n.known[worker]
	if !ok && !n.listed {
		n.listed = true
		var page wire.Workers
		if n.ask("/v1/workers?limit=1000", &page) == nil { // else ids are shown
			for i := range page.Items {
				n.known[page.Items[i].ID] = page.Items[i].Name
			}
		}
		name, ok = n.known[worker]
	}
	if !ok {
		var one wire.Worker
		if n.ask(workerPath(worker), &one) == nil && one.ID == worker {
			name = one.Name
		}
		n.known[worker] = name
	}
	return first(name, worker)
}

var idPattern = regexp.MustCompile(`\b[0-9a-z]{8}\b`)

// event returns an event's stream and text with workers by their names.
func (n *names) event(e *wire.Event) (stream, text string) {
	stream, text = e.Stream, e.Text
	if kind, worker := event.ParseStream(stream); kind == event.KindWorker {
		if name := nameIn(e.Data); name != "" {
			n.known[worker] = name
		}
		stream = event.KindWorker + "-" + n.of(worker)
	}
	workers := workersIn(e.Data)
	if len(workers) == 0 {
		return stream, text
	}
	return stream, idPattern.ReplaceAllStringFunc(text, func(word string) string {
		if !workers[word] {
			return word
		}
		return n.of(word)
	})
}

// nameIn is the name with which a worker registers or connects.
func nameIn(data json.RawMessage) string {
	var e struct{ Facts struct{ Name string } }
	_ = json.Unmarshal(data, &e) // what can't be read names nobody
	return e.Facts.Name
}

// workersIn are the ids of workers that an event names, wherever it does.
func workersIn(data json.RawMessage) map[string]bool {
	var e any
	if json.Unmarshal(data, &e) != nil {
		return nil
	}
	found := map[string]bool{}
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, each := range v {
				look(each)
			}
		case map[string]any:
			for key, each := range v {
				if text, ok := each.(string); ok && key == "worker_id" {
					found[text] = true
				}
				look(each)
			}
		}
	}
	look(e)
	delete(found, "")
	return found
}

// workerPath is the path of a worker, by its id or name.
func workerPath(worker string) string { return "/v1/workers/" + url.PathEscape(worker) }

// workerStream is the prefix of worker-, as events are shown with it.
const workerStream = event.KindWorker + "-"

// streamOf returns the stream that text names: a worker's stream may be named as
// it is shown, by the worker's name.
func (a *app) streamOf(ctx context.Context, cl *client.Client, text string) string {
	name, ok := strings.CutPrefix(text, workerStream)
	if _, err := id.ParseWorker(text); !ok || name == "" || err == nil {
		return text
	}
	w, _, err := fetch[wire.Worker](ctx, a, cl, workerPath(name), nil)
	if err != nil {
		return text // the beginning of an id, for all that is known
	}
	return workerStream + w.ID
}

// worker returns a worker by its id or name, either also as a stream of events is
// shown.
func (a *app) worker(ctx context.Context, cl *client.Client, text string) (*wire.Worker, json.RawMessage, error) {
	w, raw, err := fetch[wire.Worker](ctx, a, cl, workerPath(text), nil)
	var p *wire.Problem
	if name, ok := strings.CutPrefix(text, workerStream); ok && errors.As(err, &p) && p.Status == http.StatusNotFound {
		if w, raw, err := fetch[wire.Worker](ctx, a, cl, workerPath(name), nil); err == nil {
			return w, raw, nil
		}
	}
	return w, raw, err
}
