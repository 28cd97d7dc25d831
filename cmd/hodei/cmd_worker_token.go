package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/wire"
)

// maxTokenHours is how long a worker token can be used at most.
const maxTokenHours = 8760

func (a *app) cmdWorkerToken() *cobra.Command {
	var labels []string
	var hours int
	c := &cobra.Command{
		Use: "token", Short: "Make a token with which one worker registers",
		Example: `  hodei worker token > worker.token
  hodei worker token --label disk=ssd --hours 1 > worker.token`,
		Long: `The token is a secret, is shown once, and is used up by the first agent that
registers with it. On the worker's machine:

  export HODEI_SERVER_URL=grpcs://HOST:9090
  HODEI_WORKER_TOKEN_FILE=worker.token hodei-agent`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if hours < 1 || hours > maxTokenHours {
				return usage("--hours is %d; it may be 1 to %d", hours, maxTokenHours)
			}
			body := map[string]any{"hours": hours}
			for _, text := range labels {
				key, value, err := pair("label", text)
				if err != nil {
					return err
				}
				put(body, value, "labels", key)
			}
			return a.makeWorkerToken(c.Context(), body)
		},
	}
	c.Flags().StringArrayVarP(&labels, "label", "l", nil, "label the worker will have, `KEY=VALUE`, over those it names itself")
	c.Flags().IntVar(&hours, "hours", 24, "it can be used for `N` hours")
	return c
}

func (a *app) makeWorkerToken(ctx context.Context, body map[string]any) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	raw, err := cl.Post(ctx, "/v1/workers:token", b, "")
	if err != nil {
		return a.newer(ctx, cl, "/v1/workers:token", err)
	}
	made, _, err := decode[wire.WorkerToken](a, raw)
	switch {
	case err != nil:
		return err
	case a.programs():
		return a.emit(raw)
	}
	if _, err := fmt.Fprintln(a.stdout, made.Token); err != nil {
		return err
	}
	a.note("use it by %s: HODEI_SERVER_URL=%s HODEI_WORKER_TOKEN_FILE=FILE hodei-agent", a.clock(made.Expires), made.Server)
	return nil
}
