package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/hodei-jobs/hodei/api/wire"
)

// RerunJob runs a job again, with changes to its spec in JSON or none, and returns
// the new one. With replace the other is cancelled if it still waits. key is the
// idempotency key, or empty.
func (c *Client) RerunJob(ctx context.Context, id string, changes json.RawMessage, replace bool, key string) (*wire.Job, error) {
	body, err := json.Marshal(wire.Rerun{Changes: changes, Replace: replace})
	if err != nil {
		return nil, err
	}
	var job wire.Job
	return &job, c.call(ctx, http.MethodPost, "/v1/jobs/"+url.PathEscape(id)+"/rerun", body, header{"Idempotency-Key": key}, &job)
}
