package bench

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/watch"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

const streamLine = 5 * time.Millisecond // between lines on their way from the gateway to a stream

// stream measures the server's own part of a line's way: from where the gateway
// hands it over to a reader of the stream, over HTTP on this machine.
func stream(ctx context.Context, r *Run) error {
	return withCore(ctx, func(k *core, dir string) error {
		logs, err := joblog.Open(filepath.Join(dir, "logs"), joblog.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		return errors.Join(throughStream(ctx, r, k, logs), logs.Close())
	})
}

func throughStream(ctx context.Context, r *Run, k *core, logs *joblog.Log) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	plain, _, err := k.commands.CreateToken(ctx, benchCaller, token.Create{Name: "bench", Namespace: token.AllNamespaces, Role: token.Admin})
	if err != nil {
		return err
	}
	hub := watch.New(k.store, func() (eventstore.Position, <-chan struct{}) {
		w, next := k.runner.Wait()
		return w.Position, next
	})
	watching := make(chan error, 1)
	go func() { watching <- hub.Run(ctx) }()
	handler, _ := api.New(api.Config{Commands: k.commands, Runner: k.runner, Store: k.store, Logs: logs, Telemetry: telemetry.New(), Clock: k.store.Now,
		Logger: slog.New(slog.DiscardHandler), Watch: hub}, ctx.Done())
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: api.HeaderTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	c, err := client.New(client.Config{URL: "http://" + listener.Addr().String(), Token: plain})
	if err == nil {
		err = lineByLine(ctx, r, k, logs, c)
	}
	stop()
	err = errors.Join(err, server.Close())
	for _, ended := range []error{<-served, <-watching} {
		if !errors.Is(ended, http.ErrServerClosed) && !errors.Is(ended, context.Canceled) {
			err = errors.Join(err, ended)
		}
	}
	return err
}

var benchCaller = commands.Caller{Actor: "system", Source: "bench"}

// lineByLine plays a worker's part of one job and a reader's.
func lineByLine(ctx context.Context, r *Run, k *core, logs *joblog.Log, c *client.Client) error {
	submitted, err := c.Submit(ctx, []byte(jobJSON), "")
	if err != nil {
		return err
	}
	key, worker, err := startByHand(ctx, k, submitted.ID)
	if err != nil {
		return err
	}
	if _, err := logs.Take(ctx, key, 1, nil); err != nil {
		return err
	}
	var all []time.Duration
	read := make(chan error, 1)
	go func() {
		_, err := c.FollowJob(ctx, submitted.ID, client.LogsQuery{}, client.Follower{Log: func(p *wire.LogPiece) error {
			all = append(all, time.Duration(time.Now().UnixNano()-p.Time))
			return nil
		}})
		read <- err
	}()
	line := []byte("ok   example.com/shop   1.204s\n")
	tick := time.NewTicker(streamLine)
	defer tick.Stop()
	for i := range r.count(1000, 100) {
		<-tick.C
		piece := joblog.Piece{Tag: 1, Offset: uint64(i * len(line)), Time: time.Now().UnixNano(), Data: line}
		if err := logs.Append(key, 1, piece); err != nil {
			return err
		}
	}
	finish := job.Finish{Attempt: key.Attempt, Worker: worker, Outcome: job.OutcomeSucceeded}
	if err := k.commands.FinishJob(ctx, benchCaller, key.Job, finish); err != nil {
		return err
	}
	logs.Finish(key, logs.Head(key))
	if err := <-read; err != nil {
		return err
	}
	r.Figures["gateway_to_sse_p50_ms"] = milliseconds(all, 50)
	r.Figures["gateway_to_sse_p99_ms"] = milliseconds(all, 99)
	return nil
}

// startByHand gives a job to a worker that does not exist and starts it there.
func startByHand(ctx context.Context, k *core, jobID string) (key joblog.Key, worker string, err error) {
	w, err := k.commands.NewID()
	if err != nil {
		return key, "", err
	}
	key.Attempt = 1
	if key.Job, err = id.ParseJob(jobID); err != nil {
		return key, "", err
	}
	if _, errs := k.commands.BindJobs(ctx, benchCaller, []commands.Binding{{Job: key.Job, Attempt: 1, Worker: w}}); errs[0] != nil {
		return key, "", errs[0]
	}
	return key, w.String(), k.commands.StartJob(ctx, benchCaller, key.Job, job.Start{Attempt: 1, Worker: w.String()})
}
