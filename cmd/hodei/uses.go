package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/api"
)

// usesEvery is how often it is written down when tokens were last used. A kill
// loses what came after the last time, a stop nothing.
const usesEvery = time.Hour

// usesFile is where that is: beside the log, as heartbeats are.
func (p *parts) usesFile() string { return filepath.Join(p.config.Data, "token-uses") }

// openUses reads when tokens were last used. Nothing depends on it, so a file that
// can't be read is no reason not to start.
func (p *parts) openUses() *api.Uses {
	uses := api.NewUses()
	b, err := os.ReadFile(p.usesFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.logger.Warn("it is not known any more when tokens were last used", "error", err)
	}
	uses.Decode(b)
	return uses
}

// keepUses writes down when tokens were last used, now and then and at the end.
func (p *parts) keepUses(ctx context.Context) {
	tick := time.NewTicker(usesEvery)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			running = false
		}
		now := p.store.Now().UnixNano()
		b := p.uses.Encode(func(i id.ID) bool {
			t, ok := p.runner.World().Access.Token(i)
			return ok && t.Valid(now)
		})
		if err := keep(p.usesFile(), strings.TrimSuffix(string(b), "\n")); err != nil {
			p.logger.Warn("cannot write down when tokens were last used", "file", p.usesFile(), "error", err)
		}
	}
}
