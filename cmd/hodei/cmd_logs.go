package main

import (
	"context"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/spf13/cobra"
)

func (a *app) cmdLogs() *cobra.Command {
	var follow, raw bool
	var attempt uint32
	c := &cobra.Command{
		Use: "logs JOB", Short: "Show a job's output, byte by byte as it was written",
		Example: `  hodei logs 7f3k9qd2
  hodei logs -f last`,
		Long: `On a terminal all but text, colours and redrawn lines is left out.
` + jobNames,
		Args: oneArg("job"), ValidArgsFunction: a.completeJobs(""),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withJobOf(c.Context(), args[0], func(cl *client.Client, id string) error {
				if follow {
					v := &viewer{app: a, client: cl, screen: newScreen(a, false, raw)}
					return a.whileRead(c.Context(), func(ctx context.Context) error {
						_, err := v.follow(ctx, id, attempt)
						return err
					})
				}
				s := newScreen(a, false, raw)
				defer s.close()
				return cl.Logs(c.Context(), id, attempt, s)
			})
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the job has ended")
	c.Flags().BoolVar(&raw, "raw", false, "let all bytes reach the terminal")
	c.Flags().Uint32Var(&attempt, "attempt", 0, "output of this attempt (default: the current or last)")
	return c
}
