package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) cmdServer() *cobra.Command {
	c := &cobra.Command{
		Use: "server", Short: "Run a server alone; workers connect to it",
		Example: `  hodei server --data /var/lib/hodei
  HODEI_HTTP=127.0.0.1:80 hodei server --config /etc/hodei.yaml`,
		Long: `Workers connect to its gRPC address; hodei worker token makes what they register
with. One line, ready http=… grpc=…, is printed when it listens. At its first
start it makes an admin token, in the file DATA.token.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadServerConfig(c.Flags())
			if err != nil {
				return err
			}
			if cfg.AgentDir != "" {
				return usage("%s is set, and hodei server starts no worker here: hodei dev does", cfg.from["agent_dir"])
			}
			logger, err := a.logger(cfg)
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(c.Context())
			defer stop()
			return serve(ctx, cfg, logger, func(ctx context.Context, p *parts) (func(context.Context) error, error) {
				tokenFile := cfg.Data + ".token"
				made, err := p.adminToken(ctx, tokenFile)
				if err != nil {
					return nil, err
				}
				if made {
					logger.Info("made an admin token", "file", tokenFile)
				}
				a.ready(p)
				return nil, nil
			})
		},
	}
	serverFlags(c.Flags(), dataDir("server"), "info")
	_ = c.Flags().MarkHidden("agent-dir") // of hodei dev
	return c
}
