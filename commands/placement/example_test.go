package placement

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/projections/telemetry"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

// small is a cluster made of sentences:
//
//	worker atlas 4cpu 8gi gpu=a10 [cordoned] [draining] [offline] [pool=big] [uses=3]
//	job j1 2cpu 1gi gpu=a10 prio=5 ns=web [pool=big] [on=atlas]
//	pause web
type small struct {
	*worldtest.Log
	names map[string]id.ID
	heard *telemetry.Table
}

func newSmall(t *testing.T, sentences ...string) *small {
	t.Helper()
	c := &small{Log: worldtest.New(), names: make(map[string]id.ID), heard: telemetry.New()}
	for _, s := range sentences {
		words := strings.Fields(s)
		switch words[0] {
		case "worker":
			c.worker(words[1], words[2:])
		case "job":
			c.job(words[1], words[2:])
		case "pause":
			c.Add(event.NamespaceStream(words[1]), &eventv1.NamespacePaused{})
		case "policy":
			c.Add(event.SettingsStream(), &eventv1.SettingsChanged{Policy: &words[1]})
		default:
			t.Fatalf("%q is no sentence", s)
		}
	}
	return c
}

func (c *small) named(name string) id.ID {
	if c.names[name] == 0 {
		c.names[name] = id.ID(len(c.names) + 1)
	}
	return c.names[name]
}

func (c *small) name(i id.ID) string {
	for name, known := range c.names {
		if known == i {
			return name
		}
	}
	return i.String()
}

func amount(word string, r *eventv1.Resources) bool {
	var n uint64
	if _, err := fmt.Sscanf(word, "%dcpu", &n); err == nil {
		r.CpuMilli = 1000 * n
		return true
	}
	if _, err := fmt.Sscanf(word, "%dgi", &n); err == nil {
		r.MemoryBytes = n << 30
		return true
	}
	return false
}

func (c *small) worker(name string, words []string) {
	i := c.named(name)
	facts := &eventv1.WorkerFacts{Name: name, Os: "linux", Arch: "amd64", Capacity: &eventv1.Resources{}}
	registered := &eventv1.WorkerRegistered{Facts: facts, PublicKey: make([]byte, 32)}
	stream, online := event.WorkerStream(i), true
	c.Add(stream, registered)
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch {
		case amount(w, facts.Capacity):
		case w == "cordoned":
			c.Add(stream, &eventv1.WorkerCordoned{})
		case w == "draining":
			c.Add(stream, &eventv1.WorkerDraining{})
		case w == "offline":
			online = false
		case key == "pool":
			registered.Pool = value
		case key == "arch":
			facts.Arch = value
		case key == "uses":
			var n uint64
			fmt.Sscan(value, &n)
			c.heard.Report(i, 1, telemetry.Sample{CPU: telemetry.Measured(1000 * n)})
		default:
			facts.Labels = append(facts.Labels, &eventv1.Pair{Key: key, Value: value})
		}
	}
	c.Records[len(c.Records)-1-c.behind(stream)].Data = event.Encode(registered)
	if online {
		c.Add(stream, &eventv1.WorkerConnected{Epoch: 1, Instance: []byte{1}})
	}
}

// behind counts what came after a stream's registration.
func (c *small) behind(stream string) (n int) {
	for i := len(c.Records) - 1; c.Records[i].Type != "WorkerRegistered"; i-- {
		n++
	}
	return n
}

func (c *small) job(name string, words []string) {
	i := c.named(name)
	submitted := &eventv1.JobSubmitted{Namespace: "default", Name: name, Resources: &eventv1.Resources{}, Steps: 1, Spec: []byte("{}")}
	var on string
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch {
		case amount(w, submitted.Resources):
		case key == "prio":
			fmt.Sscan(value, &submitted.Priority)
		case key == "ns":
			submitted.Namespace = value
		case key == "pool":
			submitted.Pool = value
		case key == "on":
			on = value
		default:
			submitted.Requires = append(submitted.Requires, &eventv1.Pair{Key: key, Value: value})
		}
	}
	c.Now++ // so that each has a key of its own
	c.Add(event.JobStream(i), submitted)
	if on != "" {
		c.Add(event.JobStream(i), &eventv1.JobBound{Attempt: 1, WorkerId: c.named(on).String()})
	}
}

func (c *small) input() Input {
	w := c.World()
	return Input{Position: w.Position, Queue: w.Queue, Cluster: w.Cluster, Settings: w.Settings, Telemetry: c.heard.View()}
}

func TestPlanOfSmallClusters(t *testing.T) {
	for _, row := range []struct {
		name string
		with []string
		want []string
	}{
		{"the fuller worker is filled first, so that borea keeps room for a large job",
			[]string{"worker atlas 4cpu", "worker borea 8cpu", "job a 1cpu", "job b 1cpu"},
			[]string{"a on atlas", "b on atlas"}},
		{"the least loaded one is taken where that is the policy; borea is emptier, in parts, until both have 1/4",
			[]string{"policy leastloaded", "worker atlas 4cpu", "worker borea 8cpu", "job a 1cpu", "job b 1cpu", "job c 1cpu"},
			[]string{"a on borea", "b on atlas", "c on borea"}},
		{"of equal workers the one that has the lower id is taken",
			[]string{"worker atlas 4cpu", "worker borea 4cpu", "job a 1cpu"},
			[]string{"a on atlas"}},
		{"a point of priority is worth a minute of waiting, so c overtakes",
			[]string{"worker atlas 1cpu", "job a 1cpu", "job b 1cpu", "job c 1cpu prio=1"},
			[]string{"c on atlas"}},
		{"a job that fits nowhere holds up nobody behind it",
			[]string{"worker atlas 4cpu", "job a 8cpu", "job b 4cpu"},
			[]string{"b on atlas"}},
		{"a worker is never given more than it has, in any dimension",
			[]string{"worker atlas 4cpu 4gi", "job a 1cpu 3gi", "job b 1cpu 3gi", "job c 1cpu 1gi"},
			[]string{"a on atlas", "c on atlas"}},
		{"what is bound already counts",
			[]string{"worker atlas 4cpu", "job a 3cpu on=atlas", "job b 2cpu", "job c 1cpu"},
			[]string{"c on atlas"}},
		{"what is used beyond what is reserved counts too: of 4 CPU 3 are used",
			[]string{"worker atlas 4cpu uses=3", "job z 1cpu on=atlas", "job a 2cpu", "job b 1cpu"},
			[]string{"b on atlas"}},
		{"of CPU that is all used, a tenth is left for small jobs",
			[]string{"worker atlas 10cpu uses=10", "job z 1cpu on=atlas", "job a 2cpu", "job b 1cpu"},
			[]string{"b on atlas"}},
		{"CPU that is used on a worker without jobs keeps none away",
			[]string{"worker atlas 2cpu uses=2", "job a 2cpu"},
			[]string{"a on atlas"}},
		{"labels must be there with their values",
			[]string{"worker atlas 4cpu gpu=a10", "worker borea 4cpu", "job a 1cpu gpu=a100", "job b 1cpu gpu=a10"},
			[]string{"b on atlas"}},
		{"os and arch are the worker's own, whatever labels it has",
			[]string{"worker atlas 4cpu os=plan9", "worker borea 4cpu arch=arm64", "job a 1cpu os=plan9", "job b 1cpu os=linux arch=arm64"},
			[]string{"b on borea"}},
		{"a pool's workers take its jobs only, and no others do",
			[]string{"worker atlas 4cpu pool=big", "worker borea 1cpu", "job a 2cpu", "job b 1cpu pool=big", "job c 1cpu"},
			[]string{"b on atlas", "c on borea"}},
		{"a worker that is cordoned, drains or is offline gets none",
			[]string{"worker atlas 4cpu cordoned", "worker borea 4cpu draining", "worker ceres 4cpu offline", "job a 1cpu"},
			nil},
		{"a paused namespace waits, and the others don't wait for it",
			[]string{"worker atlas 4cpu", "job a 1cpu ns=web", "job b 1cpu ns=data", "pause web"},
			[]string{"b on atlas"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newSmall(t, row.with...)
			bindings, _ := Plan(Memory{}, c.input())
			var got []string
			for _, b := range bindings {
				got = append(got, c.name(b.Job)+" on "+c.name(b.Worker))
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A decision says what it was taken on, who was refused and why, and how near the
// next best were.
func TestDecisionIsEnoughToTakeItAgain(t *testing.T) {
	c := newSmall(t, "worker atlas 2cpu", "worker borea 4cpu", "worker ceres 8cpu", "worker delta 16cpu",
		"worker eris 1cpu", "worker fama 4cpu os=linux", "job x 3cpu on=borea", "job a 2cpu")
	in := c.input()
	bindings, _ := Plan(Memory{}, in)
	if len(bindings) != 1 {
		t.Fatalf("%d bindings", len(bindings))
	}
	d := bindings[0].Decision
	got := fmt.Sprintf("%s v%d at #%d with %d: of %d", d.Policy, d.PlanVersion, d.Position, d.TelemetryOffset, d.Considered)
	for _, r := range d.Refused {
		got += fmt.Sprintf(", %d %s", r.Count, r.Reason)
	}
	for _, b := range d.Best {
		i, _ := id.Parse(b.WorkerId)
		got += fmt.Sprintf("; %s %.3f", c.name(i), b.Score)
	}
	want := fmt.Sprintf("binpack v1 at #%d with 0: of 6, 1 busy, 1 too_large; atlas 1.000; fama 0.750; ceres 0.625", in.Position)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFullPassGoesOnInTheNext(t *testing.T) {
	c := newSmall(t, "worker atlas 4cpu", "job a 1cpu", "job b 1cpu", "job c 1cpu ns=web", "job d 1cpu", "job e 1cpu")
	var memory Memory
	var got []string
	for {
		in := c.input()
		in.Limit = 2
		var bindings []Binding
		bindings, memory = Plan(memory, in)
		if len(bindings) == 0 {
			break
		}
		for _, b := range bindings {
			got = append(got, c.name(b.Job))
			c.Add(event.JobStream(b.Job), &eventv1.JobBound{Attempt: b.Attempt, WorkerId: b.Worker.String()})
		}
		got = append(got, "|")
	}
	if s := strings.Join(got, " "); s != "a b | c d |" {
		t.Errorf("got %s", s)
	}
	if memory.Waiting() != 1 {
		t.Errorf("%d classes wait, want that of e", memory.Waiting())
	}
}

func TestExplanations(t *testing.T) {
	for _, row := range []struct {
		name string
		with []string // the first job waits
		code Reason
		says string
		help string
	}{
		{"none online", []string{"job a 1cpu", "worker atlas 4cpu offline"},
			NoWorker, "No worker is online. Place 1 of 1.", "hodei worker"},
		{"no label", []string{"job a 1cpu gpu=a100", "worker atlas 4cpu", "worker ceres 4cpu gpu=a10"},
			NoMatch, "No worker has what it requires: gpu=a100. Nearest: atlas, it has no label gpu. Place 1 of 1.", "gpu=a100"},
		{"another value is nearer than none of two labels", []string{"job a 1cpu gpu=a100 zone=1", "worker atlas 4cpu", "worker ceres 4cpu gpu=a10 zone=1"},
			NoMatch, "No worker has what it requires: gpu=a100, zone=1. Nearest: ceres, gpu is a10. Place 1 of 1.", "gpu=a100"},
		{"another architecture", []string{"job a 1cpu arch=arm64", "worker atlas 4cpu"},
			NoMatch, "No worker has what it requires: arch=arm64. Nearest: atlas, arch is amd64. Place 1 of 1.", "arm64"},
		{"only workers of a pool", []string{"job a 1cpu", "worker atlas 4cpu pool=big"},
			NoMatch, "No worker has what it requires: no pool. Nearest: atlas, it is in pool big. Place 1 of 1.", "no pool"},
		{"the only one that fits drains", []string{"job a 1cpu gpu=a10", "worker atlas 4cpu", "worker delta 4cpu gpu=a10 draining"},
			NoMatch, "Only delta fits it, and it is draining. Place 1 of 1.", "like delta"},
		{"the only ones that fit are cordoned", []string{"job a 1cpu", "worker atlas 4cpu cordoned", "worker delta 4cpu cordoned"},
			NoMatch, "Only atlas and 1 more fit it, and they take no new jobs (atlas is cordoned). Place 1 of 1.", "takes jobs again"},
		{"too much CPU", []string{"job a 8cpu", "worker atlas 4cpu", "worker borea 2cpu"},
			TooLarge, "No worker is large enough: it needs 8 CPU, the largest has 4 (atlas). Place 1 of 1.", "less CPU"},
		{"too much memory", []string{"job a 1cpu 32gi", "worker atlas 4cpu 8gi", "worker borea 2cpu 16gi"},
			TooLarge, "No worker is large enough: it needs 32 GiB memory, the largest has 16 GiB (borea). Place 1 of 1.", "less memory"},
		{"all busy", []string{"job a 3cpu", "job b 3cpu on=atlas", "job c 3cpu", "job d 1cpu on=borea", "worker atlas 4cpu", "worker borea 4cpu uses=2", "worker ceres 1cpu"},
			Busy, "2 workers fit it, none is free. Place 1 of 2.", "by itself"},
		{"a paused namespace", []string{"job a 1cpu ns=web", "worker atlas 4cpu", "pause web"},
			Paused, "Namespace web is paused. Place 1 of 1.", "web is resumed"},
		{"about to be placed", []string{"job a 1cpu", "worker atlas 4cpu"},
			Next, "1 worker has room for it now; it is being placed. Place 1 of 1.", "by itself"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newSmall(t, row.with...)
			in := c.input()
			job, _ := c.World().Jobs.ByID(c.named("a"))
			for e := range in.Queue.Entries(job.Class) {
				w := ExplainJob(in, e)
				if w.Code != row.code || w.Summary != row.says || !strings.Contains(w.Help, row.help) {
					t.Errorf("got  %s: %s (%s)\nwant %s: %s (%s)", w.Code, w.Summary, w.Help, row.code, row.says, row.help)
				}
				break
			}
		})
	}
}

func TestVerdictsNameWhatEachWorkerLacks(t *testing.T) {
	c := newSmall(t, "job a 3cpu", "job b 2cpu on=atlas", "worker atlas 4cpu", "worker borea 2cpu", "worker ceres 4cpu cordoned", "worker delta 4cpu offline")
	in := c.input()
	job, _ := c.World().Jobs.ByID(c.named("a"))
	class, _ := in.Queue.Class(job.Class)
	var got []string
	for _, v := range Explain(in, class).Workers {
		got = append(got, fmt.Sprintf("%s %s: %s, free %s", v.Name, v.Reason, v.Lacks, v.Free))
	}
	want := []string{
		"atlas busy: 1 CPU, free 2 CPU", "borea too_large: 1 CPU, free 2 CPU",
		"ceres cordoned: cordoned, free 4 CPU", "delta offline: offline, free 4 CPU",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
