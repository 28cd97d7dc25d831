package client

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/hodei-jobs/hodei/api/wire"
)

// JobsQuery chooses jobs, of which all that is asked for must hold. Zero fields ask
// for nothing.
type JobsQuery struct {
	Namespace    string
	States       []string
	Labels       []string // KEY=VALUE, or KEY
	Name         string   // * stands for anything
	Text         string   // in the name or the id
	Worker       string   // id or name
	Since, Until string   // RFC 3339, or ages such as 1h
	Ended        bool     // only those that have ended, by when they did
	OldestFirst  bool
	Limit        int
	Cursor       string
}

// Values returns the query as the route takes it.
func (q JobsQuery) Values() url.Values {
	v := url.Values{}
	set(v, "namespace", q.Namespace)
	set(v, "state", strings.Join(q.States, ","))
	if len(q.Labels) > 0 {
		v["label"] = q.Labels
	}
	set(v, "name", q.Name)
	set(v, "q", q.Text)
	set(v, "worker", q.Worker)
	set(v, "since", q.Since)
	set(v, "until", q.Until)
	if q.Ended {
		v.Set("sort", "ended")
	}
	if q.OldestFirst {
		v.Set("order", "asc")
	}
	set(v, "cursor", q.Cursor)
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// Jobs lists jobs, newest first unless the query says otherwise. A page may have
// fewer jobs than its limit and a next.
func (c *Client) Jobs(ctx context.Context, q JobsQuery) (*wire.Jobs, error) {
	var page wire.Jobs
	return &page, c.get(ctx, "/v1/jobs", q.Values(), &page)
}
