package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/api"
	"github.com/hodei-jobs/hodei/commands"
)

func (a *app) cmdDev() *cobra.Command {
	c := &cobra.Command{
		Use: "dev", Short: "Run a server and a worker here, nothing to install",
		Example: `  hodei dev
  hodei dev --data /tmp/hodei --http 127.0.0.1:8081`,
		Long: `All data is in one folder. Its admin token is in ~/.config/hodei/token, where
other commands find that of the one started last, and in DATA.token, from where
the next start puts it back. One line, ready http=… grpc=…, is printed when it
listens. The first Ctrl-C stops it in order, the second at once. Jobs go on
without it; started again, it takes them back.

Jobs run as the user that runs this, and can do all that user can: run only
code that you trust.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadServerConfig(c.Flags())
			if err != nil {
				return err
			}
			if info, err := os.Stat(cfg.AgentDir); cfg.AgentDir != "" && (err != nil || !info.IsDir()) {
				return usage("%s is %s, which is no folder", cfg.from["agent_dir"], cfg.AgentDir)
			}
			return a.dev(c.Context(), cfg)
		},
	}
	serverFlags(c.Flags(), dataDir("dev"), "warn")
	return c
}

func (a *app) dev(ctx context.Context, cfg *serverConfig) error {
	logger, err := a.logger(cfg)
	if err != nil {
		return err
	}
	dir, err := configDir()
	if err != nil {
		return err
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	return serve(ctx, cfg, logger, func(ctx context.Context, p *parts) (func(context.Context) error, error) {
		found := filepath.Join(dir, tokenName) // where the other commands look
		here := pointer{"http://" + p.http.Addr().String(), cfg.Data + ".token"}
		made, err := p.adminToken(ctx, here.tokenFile, found)
		if err != nil {
			return nil, err
		}
		was, kept, err := here.set(dir)
		if err != nil {
			return nil, err
		}
		l := newLocal(p, a)
		if err := a.greet(p, here.tokenFile, found, made); err != nil {
			return nil, err
		}
		if was.url != "" {
			a.note("  was        --server %s --token-file %s", was.url, short(was.tokenFile))
		}
		if kept != "" {
			a.note("  kept       the token that was there: %s", short(kept))
		}
		a.ready(p)
		return func(ctx context.Context) error {
			defer here.clear(dir)
			defer l.leave(a)
			return l.run(ctx)
		}, nil
	})
}

// greet says what was started, and where to go on. found is where the other
// commands find the token.
func (a *app) greet(p *parts, tokenFile, found string, made bool) error {
	hash, _ := commands.TokenHash(readLine(tokenFile))
	sign, _, err := p.links.Mint(hash)
	if err != nil {
		return err
	}
	a.note("hodei %s   data %s%s   token %s%s", version, short(p.config.Data), mark(p.fresh, " (new)"), short(found), mark(made, " (new, 0600)"))
	a.note("  worker     %s, %s/%s, %d CPU%s", localName, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), memoryHere())
	a.note("  dashboard  http://%s%s", p.http.Addr(), sign)
	a.note("             signs you in, once, within %d min    API: http://%s/docs", int(api.LinkLife.Minutes()), p.http.Addr())
	if p.fresh {
		a.note("  try        hodei run -- echo hello    in another terminal; what runs: hodei job list")
	}
	return nil
}

func mark(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

// memoryHere is this machine's memory, if the system tells it.
func memoryHere() string {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return ""
	}
	return ", " + bytesOf(uint64(info.Totalram)*uint64(info.Unit))
}

// short writes a path below the home folder with ~.
func short(path string) string {
	home := homeDir()
	if rest, ok := strings.CutPrefix(path, home+"/"); ok && home != "" {
		return "~/" + rest
	}
	return path
}

// ready prints the line that says where the server listens.
func (a *app) ready(p *parts) {
	fmt.Fprintf(a.stdout, "ready http=http://%s grpc=grpcs://%s\n", p.http.Addr(), p.grpc.Addr())
}
