package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/projections/workers"
)

// withLocal runs a server with a local worker whose launches have a limit, from
// agents in a folder; check is done when it returns nil.
func withLocal(t *testing.T, data, agents string, limit time.Duration, check func(l *local) error) {
	t.Helper()
	cfg := &serverConfig{Data: data, KeyFile: data + ".key", HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", AgentDir: agents, MaxStreams: 1, MaxTokenStreams: 1}
	cfg.logs.dir, cfg.logs.after = filepath.Join(data, archiveName, objectsName), time.Minute
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	running, served := make(chan *local, 1), make(chan error, 1)
	go func() {
		served <- serve(ctx, cfg, slog.New(slog.DiscardHandler), func(ctx context.Context, p *parts) (func(context.Context) error, error) {
			tolerance := time.Duration(settings.MinReconnectTolerance)
			if _, err := p.commands.ChangeSettings(ctx, system("test"), settings.Change{ReconnectTolerance: &tolerance}); err != nil {
				return nil, err
			}
			l := newLocal(p, &app{stderr: io.Discard})
			l.limit = limit
			running <- l
			return l.run, nil
		})
	}()
	select {
	case l := <-running:
		eventually(t, commandLimit, func() error { return check(l) })
	case err := <-served:
		t.Fatal(err)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// ends ends the agents of a server that has stopped.
func ends(t *testing.T, l *local) {
	t.Helper()
	if l == nil { // it never came to run one
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond) // by force
	defer cancel()
	instances, err := l.provider.Running(t.Context())
	for _, i := range instances {
		if serr := l.provider.Stop(ctx, i.Handle); serr != nil {
			err = serr
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// mute is an agent that runs and says nothing.
const mute = "#!/bin/sh\nexec sleep 600\n"

// offer lays an agent into a folder, in place of the one that is there.
func offer(t *testing.T, folder string, agent []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "new"), agent, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(folder, "new"), filepath.Join(folder, "hodei-agent")); err != nil {
		t.Fatal(err)
	}
}

// onlyRuns checks that the agent of one worker runs and no other.
func onlyRuns(l *local, w *workers.Worker) error {
	instances, err := l.provider.Running(context.Background())
	if err == nil && (len(instances) != 1 || instances[0].Worker != w.ID.String()) {
		err = fmt.Errorf("%v run, want %s", instances, w.ID)
	}
	return err
}

// An agent that was started and does not register in time is ended, that is
// recorded, and another is started. One that has registered before, was started
// again and does not connect, because it hangs or ends for a damaged key, is given
// up for another.
func TestALocalWorkerThatDoesNotConnect(t *testing.T) {
	real, err := os.ReadFile(filepath.Join(binaries(t), "hodei-agent"))
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	data, agents := filepath.Join(t.TempDir(), "data"), t.TempDir()
	offer(t, agents, []byte(mute))
	var last *local
	defer func() { ends(t, last) }()

	var was, is *workers.Worker
	withLocal(t, data, agents, 5*time.Second, func(l *local) error {
		last, was, is = l, nil, nil
		for w := range l.runner.World().Workers.All() {
			if w.Status == worker.Terminated {
				was = w
			} else {
				is = w
			}
		}
		if was == nil {
			return fmt.Errorf("no launch has failed: %+v", is)
		}
		offer(t, agents, real) // for the next
		switch {
		case was.Reason != "timeout" || was.Registered():
			t.Fatalf("it was terminated because of %q: %+v", was.Reason, was)
		case is == nil || is.Status != worker.Connected:
			return fmt.Errorf("there is no other: %+v", is)
		}
		return onlyRuns(l, is)
	})
	ends(t, last)

	offer(t, agents, []byte(mute)) // what has registered and hangs
	withLocal(t, data, agents, 5*time.Second, replaced(t, is, &last, func(*local) { offer(t, agents, real) }))
	ends(t, last)

	key := filepath.Join(data, "agents", last.worker().ID.String(), "state", "key")
	if err := os.WriteFile(key, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	withLocal(t, data, agents, 5*time.Second, replaced(t, last.worker(), &last, func(*local) {}))
}

// replaced checks that the agents of a worker are ended, and another takes its place;
// ended is called once they are.
func replaced(t *testing.T, was *workers.Worker, last **local, ended func(*local)) func(l *local) error {
	return func(l *local) error {
		*last = l
		before, _ := l.runner.World().Workers.Get(was.ID)
		if before.Status != worker.Terminated {
			return fmt.Errorf("it is %s", before.Status)
		}
		ended(l)
		w := l.worker()
		switch {
		case before.Reason != "its agents have not connected for 5s":
			t.Fatalf("it was terminated because %q", before.Reason)
		case w == nil || w.Status != worker.Connected:
			return fmt.Errorf("there is no other: %+v", w)
		}
		return onlyRuns(l, w)
	}
}
