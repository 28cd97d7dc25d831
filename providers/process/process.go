// Package process starts agents as processes on this machine. An agent is in a
// session of its own, with its output in a file, so that it outlives the server:
// a server that was killed finds it again by its pid and start time, and does not
// start a second one.
//
//	DIR/WORKER/agent.json   pid, start time and boot of the process
//	DIR/WORKER/agent.log    what it prints
//	DIR/WORKER/token        its worker token, which it reads when it starts
//	DIR/WORKER/state/       its own folder: key, workspaces
//
// The provider must not be used by two processes on one folder at a time; the
// server's lock on its data folder sees to that.
package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/providers"
)

const (
	recordName = "agent.json"
	logName    = "agent.log"
	tokenName  = "token"
	stateName  = "state"

	killWait = 5 * time.Second // for a killed process to be gone
)

// Config says where agents live.
type Config struct {
	Dir    string                                             // folder of the agents
	Binary func(ctx context.Context) (path string, err error) // where hodei-agent is; see [Binary]
}

// Provider implements [providers.Provider].
type Provider struct {
	config Config
	mu     sync.Mutex // one launch or stop at a time
}

// New returns a provider.
func New(c Config) *Provider { return &Provider{config: c} }

// Name implements [providers.Provider].
func (p *Provider) Name() string { return "process" }

// record is how a process is found again. A pid alone may be another's by now.
type record struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`
}

// Launch implements [providers.Provider].
func (p *Provider) Launch(ctx context.Context, l providers.Launch) (handle string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !filepath.IsLocal(l.Worker) || filepath.Base(l.Worker) != l.Worker {
		return "", fmt.Errorf("cannot start a worker: %q is no id", l.Worker)
	}
	dir := filepath.Join(p.config.Dir, l.Worker)
	if r, ok := p.load(l.Worker); ok && r.alive() {
		return l.Worker, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot start worker %s: %w", l.Name, err)
	}
	binary, err := p.config.Binary(ctx)
	if err != nil {
		return "", err
	}
	// A file, since an environment can be read by whoever may see the process.
	token := filepath.Join(dir, tokenName)
	if err := os.WriteFile(token, []byte(l.Token), 0o600); err != nil {
		return "", fmt.Errorf("cannot start worker %s: %w", l.Name, err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), binary, arguments(dir, l)...)
	cmd.Env = append(environment(os.Environ()), "HODEI_SERVER_URL="+l.ServerURL, "HODEI_WORKER_TOKEN_FILE="+token)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	log, err := os.OpenFile(filepath.Join(dir, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("cannot start worker %s: %w", l.Name, err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log // files: a broken pipe would kill it with the server
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("cannot start worker %s: %w", l.Name, err)
	}
	go func() { _ = cmd.Wait() }() // so that it does not stay as a zombie while this server lives
	if err := p.save(l.Worker, cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		return "", fmt.Errorf("cannot start worker %s: %w", l.Name, err)
	}
	return l.Worker, nil
}

func arguments(dir string, l providers.Launch) []string {
	args := []string{"--state-dir", filepath.Join(dir, stateName), "--name", l.Name}
	for _, k := range sortedKeys(l.Labels) {
		args = append(args, "--label", k+"="+l.Labels[k])
	}
	return args
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// inherited is what an agent, and so its jobs, gets of the server's environment.
// The rest may hold what is meant for the server alone, such as passwords.
var inherited = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

func environment(server []string) []string {
	var env []string
	for _, variable := range server {
		if name, _, _ := strings.Cut(variable, "="); slices.Contains(inherited, name) {
			env = append(env, variable)
		}
	}
	return env
}

func (p *Provider) save(worker string, pid int) error {
	start, err := startTime(pid)
	if err != nil {
		return err
	}
	b, err := json.Marshal(record{pid, start, bootID()})
	if err != nil {
		return err
	}
	path := filepath.Join(p.config.Dir, worker, recordName)
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func (p *Provider) load(worker string) (r record, ok bool) {
	b, err := os.ReadFile(filepath.Join(p.config.Dir, worker, recordName))
	return r, err == nil && json.Unmarshal(b, &r) == nil && r.PID > 0
}

// alive says whether the recorded process still runs.
func (r record) alive() bool {
	if r.Boot != bootID() {
		return false
	}
	start, err := startTime(r.PID)
	return err == nil && start == r.Start
}

// Running implements [providers.Provider].
func (p *Provider) Running(context.Context) ([]providers.Instance, error) {
	entries, err := os.ReadDir(p.config.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for workers: %w", err)
	}
	var out []providers.Instance
	for _, e := range entries {
		if r, ok := p.load(e.Name()); ok && r.alive() {
			out = append(out, providers.Instance{Worker: e.Name(), Handle: e.Name()})
		}
	}
	return out, nil
}

// Ended implements [providers.Provider].
func (p *Provider) Ended(ctx context.Context, handle string) (<-chan struct{}, error) {
	ended := make(chan struct{})
	r, ok := p.load(handle)
	if !ok || !r.alive() {
		close(ended)
		return ended, nil
	}
	fd, err := unix.PidfdOpen(r.PID, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		close(ended)
		return ended, nil
	case err != nil:
		return nil, fmt.Errorf("cannot watch worker %s: %w", handle, err)
	}
	// A pidfd is readable when its process has ended. The event fd wakes the wait
	// when nobody is interested any more.
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot watch worker %s: %w", handle, err), unix.Close(fd))
	}
	stop := context.AfterFunc(ctx, func() { _, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) })
	go func() {
		defer close(ended)
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if stop() { // else the function has begun and may still write
			_ = unix.Close(wake)
		}
		_ = unix.Close(fd)
	}()
	return ended, nil
}

// Stop implements [providers.Provider].
func (p *Provider) Stop(ctx context.Context, handle string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.load(handle)
	if !ok || !r.alive() {
		return nil
	}
	ended, err := p.Ended(context.WithoutCancel(ctx), handle)
	if err != nil {
		return err
	}
	if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop worker %s: %w", handle, err)
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	return r.kill(ended)
}

// kill ends the agent under its guard, which then kills the agent's jobs and ends
// too; and the guard itself if even that takes too long.
func (r record) kill(ended <-chan struct{}) error {
	for _, agent := range children(r.PID) {
		_ = syscall.Kill(agent, syscall.SIGKILL)
	}
	if within(ended, killWait) {
		return nil
	}
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot kill process %d: %w", r.PID, err)
	}
	if within(ended, killWait) {
		return nil
	}
	return fmt.Errorf("process %d does not end", r.PID)
}

func within(ended <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}

var _ providers.Provider = (*Provider)(nil)
