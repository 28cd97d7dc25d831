package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	jobJSON   = `{"name":"bench","command":"true"}`
	batchJobs = 500 // jobs of one batch
)

// submits measures submissions over HTTP. Client and server share the cores, so
// the client does as little as it can: it writes one prepared request and reads
// just enough of the answer.
func submits(ctx context.Context, r *Run) error {
	return r.withServer(ctx, "server", func(c *child) error {
		one := c.request("/v1/jobs", jobJSON)
		for _, m := range []struct {
			name           string
			clients, count int
			request        []byte
			each           int
		}{
			{"submits_per_s_1", 1, r.count(5000, 50), one, 1},
			{"submits_per_s_64", 64, r.count(100_000, 640), one, 1},
			{"submits_per_s_batch", 4, r.count(400, 8), c.request("/v1/jobs:batch", batchBody(batchJobs)), batchJobs},
		} {
			rate, err := hammer(ctx, c.http, m.request, m.clients, m.count)
			if err != nil {
				return err
			}
			r.Figures[m.name] = rate * float64(m.each)
		}
		return nil
	})
}

func batchBody(n int) string {
	return `{"jobs":[` + strings.TrimSuffix(strings.Repeat(jobJSON+",", n), ",") + `]}`
}

// request is a whole HTTP request.
func (c *child) request(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, c.http, c.token, len(body), body)
}

// hammer sends a request count times on so many connections and returns the rate.
func hammer(ctx context.Context, address string, request []byte, clients, count int) (float64, error) {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for range clients {
		group.Go(func() error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			in := bufio.NewReaderSize(conn, 16<<10)
			for next.Add(1) <= int64(count) && ctx.Err() == nil {
				if _, err := conn.Write(request); err != nil {
					return err
				}
				if err := answer(in); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	return perSecond(count, time.Since(begun)), err
}

// answer reads an answer and wants it to be a success.
func answer(in *bufio.Reader) error {
	status, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	length, chunked := 0, false
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		switch {
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			chunked = true
		}
	}
	if chunked {
		err = skipChunks(in)
	} else {
		_, err = in.Discard(length)
	}
	if err == nil && !strings.HasPrefix(status, "HTTP/1.1 20") {
		err = fmt.Errorf("the server answered %s", strings.TrimSpace(status))
	}
	return err
}

func skipChunks(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(strings.TrimSpace(line), 16, 31)
		if err != nil {
			return err
		}
		if _, err := in.Discard(int(n) + 2); err != nil || n == 0 {
			return err
		}
	}
}

// fill submits so many jobs in batches.
func (c *child) fill(ctx context.Context, n int, spec string) error {
	for n > 0 {
		size := min(n, batchJobs)
		specs := make([]json.RawMessage, size)
		for i := range specs {
			specs[i] = json.RawMessage(spec)
		}
		batch, err := c.client.SubmitBatch(ctx, specs)
		if err != nil {
			return err
		}
		for _, item := range batch.Items {
			if item.Problem != nil {
				return item.Problem
			}
		}
		n -= size
	}
	return nil
}

// memory measures a server that has done nothing, and what 100,000 waiting jobs
// add to it.
func memory(ctx context.Context, r *Run) error {
	return r.withServer(ctx, "server", func(c *child) error {
		if _, err := c.client.Ready(ctx); err != nil {
			return err
		}
		idle, err := c.resident()
		if err != nil {
			return err
		}
		r.Figures["server_idle_mb"] = idle
		n := r.count(100_000, 1000)
		if err := c.fill(ctx, n, jobJSON); err != nil {
			return err
		}
		full, err := c.settled(ctx)
		r.Figures["pending_100k_mb"] = (full - idle) * 100_000 / float64(n)
		return err
	})
}
