package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections/workers"
	"github.com/hodei-jobs/hodei/providers"
	"github.com/hodei-jobs/hodei/providers/process"
)

const (
	localName    = "local"
	launchLimit  = 10 * time.Minute // for a launched agent to connect
	relaunchWait = time.Second      // between an agent's end and the next start; doubles
	relaunchMost = time.Minute
	stopLocal    = 20 * time.Second // for the local agent to end in order
)

// adminToken makes sure that the file holds a token with which somebody can sign
// in: the one it has, else an admin's that lies in another file, else a new one.
func (p *parts) adminToken(ctx context.Context, path string, others ...string) (made bool, err error) {
	if _, ok := p.accepts(readLine(path)); ok {
		return false, nil
	}
	for _, other := range others {
		plain := readLine(other)
		if admin, _ := p.accepts(plain); admin {
			return false, keepToken(path, plain)
		}
	}
	plain, _, err := p.commands.CreateToken(ctx, system("server"), token.Create{Name: "admin", Namespace: token.AllNamespaces, Role: token.Admin})
	if err != nil {
		return false, err
	}
	return true, keepToken(path, plain)
}

// accepts says whether this server accepts a token, and as its admin's.
func (p *parts) accepts(plain string) (admin, ok bool) {
	hash, ok := commands.TokenHash(plain)
	if !ok {
		return false, false
	}
	t, ok := p.runner.World().Access.ByHash(hash)
	if !ok || !t.Valid(p.store.Now().UnixNano()) {
		return false, false
	}
	return t.Role == token.Admin && t.Namespace == token.AllNamespaces, true
}

func keepToken(path, plain string) error {
	if err := keep(path, plain); err != nil {
		return &exitError{code: exitRefused, err: fmt.Errorf("cannot keep the admin token in %s: %s", path, reason(err)), help: "name another folder: --data DIR"}
	}
	return nil
}

// workersURL is where agents connect to.
func (p *parts) workersURL() string {
	return first(p.config.Advertise, "grpcs://"+p.grpc.Addr().String())
}

// workerToken issues a token for an agent that somebody starts by hand.
func (p *parts) workerToken(ctx context.Context, labels map[string]string, expires time.Time) (*wire.WorkerToken, error) {
	tokenID, err := p.commands.NewID()
	if err != nil {
		return nil, err
	}
	issued, err := p.authority.IssueWorkerToken(ctx, authority.Claims{ID: tokenID.String(), Labels: labels, Expires: expires})
	return &wire.WorkerToken{Token: issued, Server: p.workersURL(), Expires: expires}, err
}

// local keeps one agent running on this machine, the worker of hodei dev. It is
// level-triggered: it looks which worker there should be and whether its process
// runs, so a restart takes an agent back instead of starting a second one.
type local struct {
	*parts
	provider providers.Provider
	url      string        // where the agent connects to
	limit    time.Duration // for a launched agent to connect
}

func newLocal(p *parts, a *app) *local {
	binary := process.Binary{AgentDir: p.config.AgentDir, BinDir: filepath.Join(p.config.Data, "bin"), Progress: a.stderr}
	return &local{
		parts:    p,
		provider: process.New(process.Config{Dir: filepath.Join(p.config.Data, "agents"), Binary: binary.Find}),
		url:      p.workersURL(),
		limit:    launchLimit,
	}
}

// worker returns the local worker of this data folder, if there is one that may
// still connect.
func (l *local) worker() *workers.Worker {
	var newest *workers.Worker
	for w := range l.runner.World().Workers.All() {
		if w.Provider == l.provider.Name() && w.Status != worker.Terminated && (newest == nil || w.Last > newest.Last) {
			newest = w
		}
	}
	return newest
}

// run starts the agent, and again when it ended, until ctx ends.
func (l *local) run(ctx context.Context) error {
	wait, missed := relaunchWait, time.Now() // since when no agent has connected
	for {
		began, connected := time.Now(), false
		agent, err := l.launch(ctx)
		if err == nil {
			connected, err = l.attend(ctx, agent)
		}
		if err != nil {
			l.logger.Error("cannot start the local worker", "error", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case connected:
			missed = time.Now()
		case time.Since(missed) >= l.limit && agent.handle != "":
			if err := l.giveUp(ctx, agent.worker); err != nil {
				l.logger.Error("cannot give up the local worker", "error", err)
			}
		}
		if connected && time.Since(began) > relaunchMost {
			wait = relaunchWait
		}
		l.logger.Warn("the local worker has ended; it is started again", "in", wait, "log", filepath.Join(l.config.Data, "agents", agent.handle, "agent.log"))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, relaunchMost)
	}
}

// launched is an agent that was started, or that runs still.
type launched struct {
	worker id.ID
	handle string
	epoch  uint64 // of its newest session before that
}

// attend returns when the agent has ended, and whether it had connected. It ends
// one itself whose worker is not accepted any more, as when it has not registered
// in time, and one that has not connected within the limit.
func (l *local) attend(ctx context.Context, a launched) (connected bool, err error) {
	ended, err := l.provider.Ended(ctx, a.handle)
	if err != nil {
		return false, err
	}
	limit := time.NewTimer(l.limit)
	defer limit.Stop()
	for late := false; ; {
		world, changed := l.runner.Wait()
		w, known := world.Workers.Get(a.worker)
		connected = connected || known && w.Status == worker.Connected && (w.Epoch > a.epoch || late)
		switch {
		case !known, w.Status == worker.Terminated: // also one that has not registered in time
			return connected, l.end(ctx, a, "it is not accepted any more")
		case late && !connected && w.Status == worker.Lost:
			return false, l.end(ctx, a, fmt.Sprintf("it has not connected within %s", l.limit))
		}
		select {
		case <-changed:
		case <-limit.C:
			late = true
		case <-ended:
			return connected, nil
		case <-ctx.Done():
			return connected, nil
		}
	}
}

// giveUp lets another worker take the place of one whose agents end again and again
// before they connect, as they do when its key is damaged. One that is connected
// stays: an agent of it runs that the provider doesn't know of.
func (l *local) giveUp(ctx context.Context, i id.ID) error {
	if w, known := l.runner.World().Workers.Get(i); !known || w.Status == worker.Connected {
		return nil
	}
	why := fmt.Sprintf("its agents have not connected for %s", l.limit)
	l.logger.Warn("the local worker is given up for another", "worker", i, "why", why)
	_, err := l.commands.TerminateWorker(ctx, system("provider"), i, why)
	return err
}

// end ends an agent that is of no use.
func (l *local) end(ctx context.Context, a launched, why string) error {
	l.logger.Warn("the local worker is ended", "worker", a.worker, "why", why)
	ctx, cancel := context.WithTimeout(ctx, stopLocal)
	defer cancel()
	return l.provider.Stop(ctx, a.handle)
}

// launch makes the local worker run.
func (l *local) launch(ctx context.Context) (launched, error) {
	w := l.worker()
	if w == nil {
		return l.launchNew(ctx)
	}
	issued, err := l.tokenFor(ctx, w.ID, w.TokenID)
	if err != nil {
		return launched{}, err
	}
	handle, err := l.provider.Launch(ctx, l.launchOf(w.ID, issued))
	if err != nil {
		return launched{}, err
	}
	a := launched{w.ID, handle, w.Epoch}
	if w.Status == worker.Requested {
		err = l.isLaunched(ctx, a)
	}
	return a, err
}

func (l *local) launchNew(ctx context.Context) (launched, error) {
	workerID, err := l.commands.NewID()
	if err != nil {
		return launched{}, err
	}
	tokenID, err := l.commands.NewID()
	if err != nil {
		return launched{}, err
	}
	if _, err := l.commands.RequestWorker(ctx, system("provider"), workerID, worker.Request{Provider: l.provider.Name(), TokenID: tokenID.String(), LaunchLimit: l.limit}); err != nil {
		return launched{}, err
	}
	issued, err := l.tokenFor(ctx, workerID, tokenID.String())
	if err != nil {
		return launched{}, err
	}
	handle, err := l.provider.Launch(ctx, l.launchOf(workerID, issued))
	if err != nil {
		if _, ferr := l.commands.FailLaunch(ctx, system("provider"), workerID, worker.FailLaunch{Cause: "cannot_start", Detail: err.Error()}); ferr != nil {
			l.logger.Error("cannot record a failed launch", "error", ferr)
		}
		return launched{}, err
	}
	a := launched{worker: workerID, handle: handle}
	return a, l.isLaunched(ctx, a)
}

// isLaunched records that an agent was started. One of which that can't be said,
// because starting it took too long, is ended.
func (l *local) isLaunched(ctx context.Context, a launched) error {
	_, err := l.commands.LaunchWorker(ctx, system("provider"), a.worker, worker.Launch{Handle: a.handle})
	if err != nil && ctx.Err() == nil {
		err = errors.Join(err, l.end(ctx, a, reason(err)))
	}
	return err
}

func (l *local) launchOf(workerID id.ID, issued string) providers.Launch {
	return providers.Launch{Worker: workerID.String(), Name: localName, Token: issued, ServerURL: l.url}
}

// tokenFor issues the token with which the worker registers; one that has
// registered proves its key and needs none.
func (l *local) tokenFor(ctx context.Context, workerID id.ID, tokenID string) (string, error) {
	return l.authority.IssueWorkerToken(ctx, authority.Claims{ID: tokenID, WorkerID: workerID.String(), Expires: time.Now().Add(l.limit)})
}

// leave ends the agent when hodei dev is stopped, unless jobs run on it: they go
// on, and the next hodei dev takes the agent back.
func (l *local) leave(a *app) {
	w := l.worker()
	if w == nil {
		return
	}
	if node, ok := l.runner.World().Cluster.Node(w.ID); ok && node.Attempts > 0 {
		a.note("the local worker goes on with %s; started again within %s, hodei dev takes it back", count(node.Attempts, "job"), age(l.runner.World().Settings.OrphanAfter))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLocal)
	defer cancel()
	if err := l.provider.Stop(ctx, w.ID.String()); err != nil {
		l.logger.Error("cannot stop the local worker", "error", err)
	}
}
