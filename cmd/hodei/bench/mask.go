package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strconv"
)

const maskRounds = 50 // of which the best counts

// masking has the agent that a server starts measure how fast it masks.
func masking(ctx context.Context, r *Run) error {
	return r.withServer(ctx, "dev", func(c *child) error {
		if err := c.awaitWorker(ctx); err != nil {
			return err
		}
		agents, err := filepath.Glob(filepath.Join(c.data, "bin", "*", "hodei-agent"))
		if err != nil {
			return err
		}
		if len(agents) == 0 {
			return fmt.Errorf("the agent's program is not in %s", c.data)
		}
		out, err := exec.CommandContext(ctx, agents[0], "bench", strconv.Itoa(r.count(maskRounds, 5))).Output()
		if err != nil {
			return err
		}
		figures := Figures{}
		if err := json.Unmarshal(out, &figures); err != nil {
			return fmt.Errorf("the agent's figures are %.100q: %w", out, err)
		}
		maps.Copy(r.Figures, figures)
		return nil
	})
}
