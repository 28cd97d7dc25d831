package deadline

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/embedded"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

var rewrite = flag.Bool("rewrite", false, "write what happened into the scripts as what is expected")

// Each file in testdata is a story: commands, ----, and the events that came of
// them. The clock stands still but for advance. See [stage.do] for the commands.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("there is no script", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, dir, string(text)) })
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(text), got); diff != "" && !*rewrite {
				t.Error(diff)
			}
		})
	}
}

// play returns the script with what happened in place of what is expected.
func play(t *testing.T, dir, script string) string {
	s := newStage(t, dir)
	defer s.close()
	var out strings.Builder
	expected := false
	for line := range strings.Lines(script) {
		switch line = strings.TrimRight(line, "\n"); {
		case line == "----":
			expected = true
			out.WriteString("----\n" + s.news())
			continue
		case line == "":
			expected = false
		case expected:
			continue
		case !strings.HasPrefix(line, "#"):
			s.do(strings.Fields(line))
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

// stage is a server without its outer parts, and the controller on it.
type stage struct {
	*testing.T
	store    *embedded.Store
	runner   *projections.Runner
	commands *commands.Service
	keys     *keyring.File
	heard    *telemetry.Table
	names    map[string]id.ID
	told     eventstore.Position
	begun    time.Time

	stop       context.CancelFunc // of the runner
	ran        chan error
	leave      context.CancelFunc // of the controller
	controlled chan error
}

func newStage(t *testing.T, dir string) *stage {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, _, err := embedded.Open(context.Background(), embedded.Config{Dir: dir, Logger: quiet, Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	<-store.Ready()
	s := &stage{
		T: t, store: store, runner: projections.NewRunner(store, projections.RunnerConfig{Logger: quiet}),
		heard: telemetry.New(), names: make(map[string]id.ID), ran: make(chan error, 1), controlled: make(chan error, 1),
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ran <- s.runner.Run(ctx) }()
	<-s.runner.Ready()
	if s.keys, err = keyring.OpenFile(filepath.Join(dir, "keyring"), filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	s.commands = commands.New(commands.Config{Store: store, Keys: s.keys, Applied: s.runner.WaitFor, Clock: store.Now})
	s.must(s.commands.CreateNamespace(ctx, caller, spec.DefaultNamespace, ""))
	s.told, _ = store.Wait()
	s.begun = store.Now()
	s.control()
	return s
}

func (s *stage) control() {
	ctx, leave := context.WithCancel(context.Background())
	s.leave = leave
	d := New(Config{Runner: s.runner, Commands: s.commands, Telemetry: s.heard, Clock: s.store.Now, Logger: slog.New(slog.DiscardHandler)})
	go func() { s.controlled <- d.Run(ctx) }()
	synctest.Wait()
}

func (s *stage) leaveControl() {
	s.leave()
	if err := <-s.controlled; err != nil {
		s.Error(err)
	}
}

func (s *stage) close() {
	s.leaveControl()
	s.stop()
	if err := <-s.ran; err != nil {
		s.Error(err)
	}
	if err := errors.Join(s.store.Close(), s.keys.Close()); err != nil {
		s.Error(err)
	}
}

func (s *stage) must(_ eventstore.Position, err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) each(_ eventstore.Position, errs []error) {
	s.Helper()
	s.must(0, errs[0])
}

// do executes a line of a script:
//
//	worker W               registers and connects
//	request W 1m           asks a provider for it, to be up within that
//	launch W · register W  its provider has started it, its agent takes its place
//	connect W · disconnect W · terminate W · heard W...
//	submit J [retries=1] [backoff=10s] [timeout=1m] [exclusive] [secret]
//	bind J W · start J · cancel J · succeed J
//	tolerance 10s          sets the reconnect tolerance
//	orphan 1h              sets how long agents go on without a server
//	retention 1h           sets how long secrets of jobs that ended are kept
//	keys J...              only these have data keys
//	restart                ends the controller, and starts another
//	advance 31s            lets time pass
func (s *stage) do(words []string) {
	ctx := context.Background()
	name := words[len(words)-1]
	if len(words) > 1 {
		name = words[1]
	}
	i := s.names[name]
	c := s.commands
	switch words[0] {
	case "worker":
		s.join(name)
	case "request":
		s.must(c.RequestWorker(ctx, caller, s.name(name), worker.Request{Provider: "process", LaunchLimit: s.duration(words[2])}))
	case "launch":
		s.must(c.LaunchWorker(ctx, caller, i, worker.Launch{Handle: name}))
	case "register":
		s.register(name, i)
	case "connect":
		_, err := c.ConnectWorker(ctx, caller, i, worker.Connect{Instance: []byte{1}})
		s.must(0, err)
		s.heard.Heard(i, s.store.Now().UnixNano())
	case "disconnect":
		w, _ := s.runner.World().Workers.Get(i)
		s.must(c.DisconnectWorker(ctx, caller, i, worker.Disconnect{Epoch: w.Epoch, Reason: "silent"}))
	case "terminate":
		s.must(c.TerminateWorker(ctx, caller, i, "scaled down"))
	case "heard":
		for _, w := range words[1:] {
			s.heard.Heard(s.names[w], s.store.Now().UnixNano())
		}
	case "submit":
		s.submit(name, words[2:])
	case "tolerance":
		d := s.duration(name)
		s.must(c.ChangeSettings(ctx, caller, settings.Change{ReconnectTolerance: &d}))
	case "orphan":
		d := s.duration(name)
		s.must(c.ChangeSettings(ctx, caller, settings.Change{OrphanAfter: &d}))
	case "retention":
		d := s.duration(name)
		s.must(c.ChangeSettings(ctx, caller, settings.Change{SecretRetention: &d}))
	case "keys":
		s.checkKeys(words[1:])
	case "restart":
		s.leaveControl()
		s.control()
	case "advance":
		<-time.After(s.duration(name))
	default:
		s.doJob(words, i)
	}
	synctest.Wait()
}

func (s *stage) checkKeys(jobs []string) {
	var want []string
	for _, name := range jobs {
		want = append(want, "job/"+s.names[name].String())
	}
	slices.Sort(want)
	if got, err := s.keys.DataKeyNames(context.Background(), "job/"); err != nil || !slices.Equal(got, want) {
		s.Errorf("there are keys %q of %q, %v", got, jobs, err)
	}
}

func (s *stage) doJob(words []string, i id.ID) {
	ctx := context.Background()
	c := s.commands
	j, ok := s.runner.World().Jobs.ByID(i)
	if !ok {
		s.Fatalf("%q is not a line of a script", words)
	}
	w := j.Worker.String()
	switch words[0] {
	case "bind":
		s.each(c.BindJobs(ctx, caller, []commands.Binding{{Job: i, Attempt: j.Attempt + 1, Worker: s.names[words[2]]}}))
	case "start":
		s.must(0, c.StartJob(ctx, caller, i, job.Start{Attempt: j.Attempt, Worker: w}))
	case "cancel":
		s.must(c.CancelJob(ctx, caller, i, "enough"))
	case "succeed":
		s.must(0, c.FinishJob(ctx, caller, i, job.Finish{Attempt: j.Attempt, Worker: w, Outcome: job.OutcomeSucceeded}))
	default:
		s.Fatalf("%q is not a line of a script", words)
	}
}

func (s *stage) join(name string) {
	s.register(name, s.name(name))
	s.do([]string{"connect", name})
}

func (s *stage) register(name string, i id.ID) {
	token := id.ID(1000 + len(s.names))
	s.must(s.commands.RegisterWorker(context.Background(), caller, i, worker.Register{
		Facts:     &eventv1.WorkerFacts{Name: name, Os: "linux", Arch: "amd64", Capacity: &eventv1.Resources{CpuMilli: 4000}},
		PublicKey: make([]byte, worker.KeyBytes), TokenID: token.String(),
	}, token.String()))
}

func (s *stage) name(name string) id.ID {
	s.names[name] = id.ID(1 + len(s.names))
	return s.names[name]
}

func (s *stage) submit(name string, words []string) {
	sp := spec.Spec{Argv: []string{name}}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "retries":
			n, _ := strconv.Atoi(value)
			sp.Retries.Max = uint32(n)
		case "backoff":
			sp.Retries.Backoff = spec.Duration(s.duration(value))
		case "timeout":
			sp.Timeout = spec.Duration(s.duration(value))
		case "exclusive":
			sp.Exclusive = true
		case "secret":
			sp.Secrets = map[string]spec.Secret{"TOKEN": {Value: "hunter2"}}
		default:
			s.Fatalf("%q says nothing of a job", w)
		}
	}
	done := s.commands.SubmitJobs(context.Background(), caller, []commands.Submission{{Spec: sp}})[0]
	s.must(0, done.Err)
	s.names[name] = done.ID
}

func (s *stage) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.Fatal(err)
	}
	return d
}

// news returns what was recorded since it was last asked: when, where, what.
func (s *stage) news() string {
	records, next, err := s.store.ReadAll(context.Background(), nil, s.told+1, 1000, eventstore.Filter{})
	if err != nil {
		s.Fatal(err)
	}
	s.told = next - 1
	var out strings.Builder
	for _, r := range records {
		m, err := event.Decode(r.Type, r.Data)
		if err != nil {
			s.Fatal(err)
		}
		at := time.Duration(r.Time - s.begun.UnixNano()).Round(10 * time.Millisecond)
		fmt.Fprintf(&out, "%s %s %s\n", at, s.readable(string(r.Stream)), s.readable(event.Describe(m)))
	}
	return out.String()
}

// readable puts names in place of ids.
func (s *stage) readable(text string) string {
	for name, i := range s.names {
		text = strings.ReplaceAll(text, i.String(), name)
	}
	return text
}
