package main

import (
	"github.com/spf13/cobra"
)

func (a *app) cmdLogs() *cobra.Command {
	var follow, raw bool
	var attempt uint32
	c := &cobra.Command{
		Use: "logs ID", Short: "Show a job's output",
		Long: `Show a job's output, byte by byte as it was written.

Examples:
  hodei logs 7f3k9qd2
  hodei logs -f 7f3k9qd2`,
		Args: oneArg("job id"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if follow {
				v := &viewer{app: a, client: cl, raw: raw}
				_, err := v.follow(c.Context(), args[0], attempt)
				return err
			}
			return cl.Logs(c.Context(), args[0], attempt, a.jobOutput(a.stdout, a.out, raw))
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the job has ended")
	c.Flags().BoolVar(&raw, "raw", false, "let all bytes reach the terminal")
	c.Flags().Uint32Var(&attempt, "attempt", 0, "output of this attempt (default: the current or last)")
	return c
}
