// Package process starts agents as processes on this machine. An agent is in a
// session of its own, with its output in a file, so that it outlives the server:
// a server that was killed finds it again by its pid and start time, and does not
// start a second one. Jobs run as the user that the server runs as: this is for
// code that is trusted with all that user may do.
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
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/hodei-jobs/hodei/providers"
)

const (
	recordName = "agent.json"
	logName    = "agent.log"
	tokenName  = "token"
	stateName  = "state"

	gateVariable = "HODEI_GATE" // tells the agent the descriptor of its gate
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
	Sum   uint32 `json:"crc32c,omitempty"` // none in a record of an older server
}

func (r record) sum() uint32 {
	return crc32.Checksum(fmt.Appendf(nil, "%d %d %s", r.PID, r.Start, r.Boot), crc32.MakeTable(crc32.Castagnoli))
}

// Launch implements [providers.Provider].
func (p *Provider) Launch(ctx context.Context, l providers.Launch) (handle string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !filepath.IsLocal(l.Worker) || filepath.Base(l.Worker) != l.Worker {
		return "", fmt.Errorf("cannot start a worker: %q is no id", l.Worker)
	}
	dir := filepath.Join(p.config.Dir, l.Worker)
	switch r, ok, err := p.load(l.Worker); {
	case err != nil:
		return "", fmt.Errorf("cannot start worker %s: %w", l.Name, err)
	case ok && r.alive():
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
	if err := p.start(cmd, l.Worker); err != nil {
		return "", fmt.Errorf("cannot start worker %s: %w", l.Name, err)
	}
	return l.Worker, nil
}

// start starts an agent and records it. The agent waits at a gate until it is
// recorded: if this server ends before that, the agent ends too, so that none
// runs that the next server doesn't know of.
func (p *Provider) start(cmd *exec.Cmd, worker string) error {
	log, err := os.OpenFile(filepath.Join(cmd.Dir, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log // files: a broken pipe would kill it with the server
	gate, open, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = open.Close() }()
	cmd.ExtraFiles = []*os.File{gate} // descriptor 3
	cmd.Env = append(cmd.Env, gateVariable+"=3")
	err = cmd.Start()
	_ = gate.Close()
	if err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // so that it does not stay as a zombie while this server lives
	err = p.save(worker, cmd.Process.Pid)
	if err == nil {
		_, err = open.Write([]byte{1})
	}
	if err != nil {
		_ = cmd.Process.Kill()
	}
	return err
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
	r := record{PID: pid, Start: start, Boot: bootID()}
	r.Sum = r.sum()
	b, err := json.Marshal(r)
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

// load returns what is recorded of an agent, if anything is. A record that is
// damaged does not tell whether it runs, and a second one must not be started.
func (p *Provider) load(worker string) (r record, ok bool, err error) {
	dir := filepath.Join(p.config.Dir, worker)
	b, err := os.ReadFile(filepath.Join(dir, recordName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return record{}, false, nil
	case err == nil:
		err = json.Unmarshal(b, &r)
	}
	if err == nil && (r.PID <= 0 || r.Sum != 0 && r.Sum != r.sum()) {
		err = errors.New("its checksum is wrong")
	}
	if err != nil {
		return record{}, false, fmt.Errorf("%s is damaged or can't be read; end the process with --state-dir %s, if there is one, and remove the file: %w",
			filepath.Join(dir, recordName), filepath.Join(dir, stateName), err)
	}
	return r, true, nil
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
	var damaged []error
	for _, e := range entries {
		r, ok, err := p.load(e.Name())
		if ok && r.alive() {
			out = append(out, providers.Instance{Worker: e.Name(), Handle: e.Name()})
		}
		damaged = append(damaged, err)
	}
	return out, errors.Join(damaged...)
}

var _ providers.Provider = (*Provider)(nil)
