package main

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// completeWithin is how long a shell waits for names to complete; what takes
// longer is no help.
const completeWithin = 100 * time.Millisecond

// completeJobs completes ids of the newest jobs in those states, or in all.
func (a *app) completeJobs(states string) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		v := url.Values{}
		set(v, "state", states)
		return a.complete(c.Context(), func(ctx context.Context, cl *client.Client) (found []cobra.Completion) {
			page, _, err := fetch[wire.Jobs](ctx, a, cl, "/v1/jobs", v)
			if err != nil {
				return nil
			}
			for i := range page.Items {
				if j := &page.Items[i]; strings.HasPrefix(j.ID, begun) {
					found = append(found, cobra.CompletionWithDesc(j.ID, term.Escape(j.State+" "+j.Name)))
				}
			}
			return found
		})
	}
}

func (a *app) completeWorkers(c *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.complete(c.Context(), func(ctx context.Context, cl *client.Client) (found []cobra.Completion) {
		page, _, err := fetch[wire.Workers](ctx, a, cl, "/v1/workers", url.Values{"limit": {"1000"}})
		if err != nil {
			return nil
		}
		for i := range page.Items {
			if w := &page.Items[i]; strings.HasPrefix(w.Name, begun) {
				found = append(found, cobra.CompletionWithDesc(term.Escape(w.Name), shownState(w)))
			}
		}
		return found
	})
}

func (a *app) completeSecrets(c *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.complete(c.Context(), func(ctx context.Context, cl *client.Client) (found []cobra.Completion) {
		v := a.inNamespace()
		v.Set("limit", "1000")
		page, _, err := fetch[wire.Secrets](ctx, a, cl, "/v1/secrets", v)
		if err != nil {
			return nil
		}
		for i := range page.Items {
			if s := &page.Items[i]; strings.HasPrefix(s.Name, begun) {
				found = append(found, cobra.Completion(term.Escape(s.Name)))
			}
		}
		return found
	})
}

func (a *app) complete(ctx context.Context, ask func(context.Context, *client.Client) []cobra.Completion) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	cl, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return ask(ctx, cl), cobra.ShellCompDirectiveNoFileComp
}
