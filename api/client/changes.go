package client

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/api/sse"
)

// ChangesQuery chooses what is followed. Zero fields choose all.
type ChangesQuery struct {
	Kinds     []string // job, worker, queue, counts
	Namespace string
	Every     string // the least time between two looks, such as 500ms
}

// FollowChanges calls each with what has changed, as it is now, until ctx ends or
// each returns an error; kind is job, worker, queue or counts, or reset: then what
// is shown must be read anew. The first message is one. Data is valid until each
// returns. lost is called when the connection broke; it is tried again after wait.
func (c *Client) FollowChanges(ctx context.Context, q ChangesQuery, each func(kind string, data json.RawMessage) error, lost func(err error, wait time.Duration)) error {
	v := url.Values{}
	set(v, "kinds", strings.Join(q.Kinds, ","))
	set(v, "namespace", q.Namespace)
	set(v, "every", q.Every)
	return c.follow(ctx, "/v1/changes", v, 0, lost, func(e sse.Event) (bool, error) { return false, each(e.Name, e.Data) })
}
