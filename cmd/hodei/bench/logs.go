package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

const (
	steadyLine  = 100 * time.Millisecond // between the lines of a job that prints steadily
	quietLine   = 700 * time.Millisecond // between lines that each come after quiet
	bulkLine    = 70                     // bytes of a line of a job that prints much
	bulkSecrets = 50                     // that are sought in it
)

// logs measures output on its way from a job to a reader of its stream: lines
// after quiet, ten a second, the same beside a job that prints all it can, and
// 100 MB at once.
func logs(ctx context.Context, r *Run) error {
	return r.withServer(ctx, "dev", func(c *child) error {
		if err := c.awaitWorker(ctx); err != nil {
			return err
		}
		steady := r.count(100, 10)
		for _, m := range []struct {
			name  string
			lines int
			pause time.Duration
		}{{"log_latency_first", r.count(30, 5), quietLine}, {"log_latency", steady, steadyLine}} {
			if err := c.latencies(ctx, r, m.name, m.lines, m.pause); err != nil {
				return err
			}
		}
		if err := c.besideFlood(ctx, r, steady); err != nil {
			return err
		}
		return c.bulk(ctx, r, r.count(100<<20, 1<<20))
	})
}

// latencies has a job print the time, line by line, and compares it with the time
// at which a reader of the stream gets it.
func (c *child) latencies(ctx context.Context, r *Run, name string, lines int, pause time.Duration) error {
	job, err := c.submitScript(ctx, fmt.Sprintf("sleep 1; for i in $(seq %d); do date +%%s%%N; sleep %.3f; done", lines, pause.Seconds()), 0)
	if err != nil {
		return err
	}
	var all []time.Duration
	var line []byte                       // a line may come in pieces
	log := func(p *wire.LogPiece) error { // to its end: a server that stops leaves a worker that has jobs alone
		now := time.Now().UnixNano()
		if line = append(line, p.Bytes()...); !bytes.HasSuffix(line, []byte("\n")) {
			return nil
		}
		printed, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
		if err != nil {
			return fmt.Errorf("the job printed %q", line)
		}
		line = line[:0]
		all = append(all, time.Duration(now-printed))
		return nil
	}
	if _, err := c.client.FollowJob(ctx, job, client.LogsQuery{}, client.Follower{Log: log}); err != nil {
		return err
	}
	r.Figures[name+"_p50_ms"] = milliseconds(all, 50)
	r.Figures[name+"_p99_ms"] = milliseconds(all, 99)
	return nil
}

// submitScript submits a job with so many secrets, which it doesn't print.
func (c *child) submitScript(ctx context.Context, script string, secrets int) (jobID string, err error) {
	hidden := map[string]string{}
	for i := range secrets {
		hidden[fmt.Sprintf("SECRET_%d", i)] = rand.Text()
	}
	body, err := json.Marshal(map[string]any{"command": script, "log_limit": "64Gi", "secrets": hidden, "resources": map[string]string{"cpu": "50m"}})
	if err != nil {
		return "", err
	}
	job, err := c.client.Submit(ctx, body, "")
	return job.ID, err
}

// besideFlood measures a steady job while another prints all it can, all of which
// is kept, and the memory that this takes of the agent.
func (c *child) besideFlood(ctx context.Context, r *Run, lines int) error {
	seconds := int((time.Duration(lines)*(steadyLine+10*time.Millisecond) + 3*time.Second) / time.Second)
	flood, err := c.submitScript(ctx, fmt.Sprintf("timeout %d yes; true", seconds), 0)
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return c.latencies(inner, r, "log_latency_beside_yes", lines, steadyLine) })
	group.Go(func() error {
		return poll(inner, func() (bool, error) {
			job, err := c.client.Job(inner, flood)
			return err == nil && job.Terminal(), err
		})
	})
	if err := group.Wait(); err != nil {
		return err
	}
	r.Figures["agent_flood_mb"], err = c.agentPeak()
	return err
}

// agentPeak is the most memory that the server's agent had in RAM, in MB.
func (c *child) agentPeak() (float64, error) {
	status, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	peak := 0.0
	for _, path := range status {
		command, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil || !bytes.Contains(command, []byte("hodei-agent")) || !bytes.Contains(command, []byte(c.data)) {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), "VmHWM:")
		if words := strings.Fields(rest); len(words) > 0 {
			kb, _ := strconv.ParseFloat(words[0], 64)
			peak = max(peak, kb/1024)
		}
	}
	if peak == 0 {
		return 0, errors.New("the agent was not found among the processes")
	}
	return peak, nil
}

// bulk has a job with secrets print much at once and checks that a reader gets just that. The
// time runs from the submission to the last byte.
func (c *child) bulk(ctx context.Context, r *Run, size int) error {
	line := strings.Repeat("x", bulkLine-1)
	size -= size % bulkLine
	want := sha256.Sum256(bytes.Repeat([]byte(line+"\n"), size/bulkLine))
	begun, last := time.Now(), time.Time{}
	job, err := c.submitScript(ctx, fmt.Sprintf("yes %s | head -c %d", line, size), bulkSecrets)
	if err != nil {
		return err
	}
	hash := sha256.New()
	_, err = c.client.FollowJob(ctx, job, client.LogsQuery{}, client.Follower{Log: func(p *wire.LogPiece) error {
		last = time.Now()
		_, err := hash.Write(p.Bytes())
		return err
	}})
	if err != nil {
		return err
	}
	if [sha256.Size]byte(hash.Sum(nil)) != want {
		return errors.New("what was read is not what the job wrote")
	}
	r.Figures["log_mb_per_s"] = float64(size) / (1 << 20) / last.Sub(begun).Seconds()
	return nil
}
