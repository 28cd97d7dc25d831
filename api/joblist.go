package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

// How many jobs one request looks at; a page may have fewer items than asked for,
// and a next, when few of them pass the filter. Names and labels are in the log
// alone, so looking for them takes longer.
const (
	maxLooked = 200_000 // jobs
	maxRead   = 10_000  // of them, those whose submissions are read
)

// maxLabelsAsked is how many labels a list may ask for.
const maxLabelsAsked = 16

type listInput struct {
	Namespace string   `query:"namespace" maxLength:"63" doc:"Only jobs of this namespace"`
	State     string   `query:"state" maxLength:"128" doc:"Only jobs in these states, separated by commas" example:"running,failed"`
	Label     []string `query:"label,explode" maxItems:"16" doc:"Only jobs with this label, KEY=VALUE, or KEY for any value; given again, all of them" example:"team=web"`
	Name      string   `query:"name" maxLength:"128" doc:"Only jobs with this name, in which * stands for anything" example:"build-*"`
	Text      string   `query:"q" maxLength:"128" doc:"Only jobs whose name or id has this text in it, in capitals or not" example:"web"`
	Worker    string   `query:"worker" maxLength:"128" doc:"Only jobs whose newest attempt is on this worker, by its id or name" example:"atlas"`
	Since     string   `query:"since" maxLength:"64" doc:"Only jobs submitted from then on, or ended if they are sorted by that: RFC 3339, or an age by the server's clock" example:"1h"`
	Until     string   `query:"until" maxLength:"64" doc:"Only jobs submitted or ended before then, as since" example:"10m"`
	Sort      string   `query:"sort" enum:"submitted,ended" default:"submitted" doc:"By when they were submitted, or, of those that have ended, when they did"`
	Order     string   `query:"order" enum:"asc,desc" default:"desc" doc:"desc is the newest first"`
	PageInput
}

// jobFilter is what is asked of jobs. Zero fields ask nothing.
type jobFilter struct {
	states       map[job.Status]bool
	namespace    string
	workers      map[id.ID]bool // nil is any
	since, until int64          // ns since 1970
	ended        bool           // since and until are of the end, and only jobs that have ended are meant

	// What is in the log alone.
	name   string
	text   string // in small letters
	labels []resource.Label
}

// reads says whether submissions have to be read.
func (f *jobFilter) reads() bool { return f.name != "" || f.text != "" || f.labels != nil }

func (s *server) listJobs(ctx context.Context, in *listInput) (*listOutput, error) {
	w := s.Runner.World()
	f, err := s.jobFilter(ctx, w, in)
	if err != nil {
		return nil, err
	}
	order, err := parseOrder(in)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: wire.Jobs{Items: []wire.Job{}, Counts: counts(w, f.namespace)}}
	looked, read := 0, 0
	for j := range order.from(w.Jobs) {
		if f.past(&j, order.ascending) {
			break
		}
		if len(out.Body.Items) == in.Limit || looked == maxLooked || read == maxRead {
			out.Body.Next = order.next(&j)
			break
		}
		looked++
		if !f.row(w, &j) {
			continue
		}
		if f.reads() {
			read++
			if ok, err := s.submissionPasses(ctx, f, &j); err != nil {
				return nil, err
			} else if !ok {
				continue
			}
		}
		v, err := s.view(ctx, w, &j)
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, *v)
	}
	return out, nil
}

func (s *server) jobFilter(ctx context.Context, w *projections.World, in *listInput) (*jobFilter, error) {
	p := who(ctx)
	if err := p.in(w, in.Namespace); err != nil {
		return nil, err
	}
	f := &jobFilter{namespace: in.Namespace, name: in.Name, text: strings.ToLower(in.Text), ended: in.Sort == "ended"}
	if f.namespace == "" && p.namespace != token.AllNamespaces {
		f.namespace = p.namespace
	}
	var err error
	if f.states, err = parseStates(in.State); err != nil {
		return nil, err
	}
	now := s.Clock()
	if f.since, err = parseMoment("query.since", in.Since, now); err != nil {
		return nil, err
	}
	if f.until, err = parseMoment("query.until", in.Until, now); err != nil {
		return nil, err
	}
	if f.since > 0 && f.until > 0 && f.since >= f.until {
		return nil, invalid("query.until", "it is not after since, so that no job could be shown", in.Until)
	}
	if f.labels, err = parseLabels(in.Label); err != nil {
		return nil, err
	}
	if in.Worker != "" {
		if f.workers = workersCalled(w, in.Worker); len(f.workers) == 0 {
			return nil, missing("query.worker", "worker", in.Worker, "the workers there are: hodei worker list")
		}
	}
	return f, nil
}

// workersCalled are the ids of the workers with an id or a name.
func workersCalled(w *projections.World, text string) map[id.ID]bool {
	found := map[id.ID]bool{}
	if i, err := id.ParseWorker(text); err == nil {
		if _, ok := w.Workers.Get(i); ok {
			found[i] = true
			return found
		}
	}
	for row := range w.Workers.All() {
		if row.Name == text {
			found[row.ID] = true
		}
	}
	return found
}

func parseLabels(given []string) (labels []resource.Label, err error) {
	if len(given) > maxLabelsAsked {
		return nil, invalid("query.label", fmt.Sprintf("%d labels are asked for, at most %d may be", len(given), maxLabelsAsked), nil)
	}
	for _, text := range given {
		key, value, ok := strings.Cut(text, "=")
		if key == "" {
			return nil, invalid("query.label", "it has no key; write it as KEY=VALUE, or KEY for any value", text)
		}
		if !ok {
			value = anyValue
		}
		labels = append(labels, resource.Label{Key: key, Value: value})
	}
	return labels, nil
}

// anyValue is no value that a label can have.
const anyValue = "\x00"

// when is the time that since and until are about.
func (f *jobFilter) when(j *jobs.Job) int64 {
	if f.ended {
		return j.Finished
	}
	return j.Submitted
}

// past says whether no job after this one can be meant: times go one way.
func (f *jobFilter) past(j *jobs.Job, ascending bool) bool {
	if ascending {
		return f.until > 0 && f.when(j) >= f.until
	}
	return f.since > 0 && f.when(j) < f.since
}

// row says whether what the World has of a job is as it is asked for.
func (f *jobFilter) row(w *projections.World, j *jobs.Job) bool {
	at := f.when(j)
	return (f.states == nil || f.states[j.Status]) && (f.workers == nil || f.workers[j.Worker]) &&
		at >= f.since && (f.until == 0 || at < f.until) &&
		(f.namespace == "" || w.Jobs.Namespace(*j) == f.namespace)
}

// submissionPasses says whether a job's name and labels are as they are asked for.
func (s *server) submissionPasses(ctx context.Context, f *jobFilter, j *jobs.Job) (bool, error) {
	r, err := s.record(ctx, j.Position)
	if err != nil {
		return false, err
	}
	m, err := message(r)
	if err != nil {
		return false, err
	}
	submitted, ok := m.(*eventv1.JobSubmitted)
	return ok && f.submission(submitted, j.ID.String()), nil
}

func (f *jobFilter) submission(e *eventv1.JobSubmitted, jobID string) bool {
	if f.name != "" && !like(e.GetName(), f.name) {
		return false
	}
	if f.text != "" && !strings.Contains(strings.ToLower(e.GetName()), f.text) && !strings.Contains(jobID, f.text) {
		return false
	}
	if f.labels == nil {
		return true
	}
	var asked struct{ Labels map[string]string }
	if json.Unmarshal(e.GetSpec(), &asked) != nil {
		return false
	}
	for _, l := range f.labels {
		if value, ok := asked.Labels[l.Key]; !ok || l.Value != anyValue && value != l.Value {
			return false
		}
	}
	return true
}

// like says whether a text is as a pattern, in which * stands for anything.
func like(text, pattern string) bool {
	parts := strings.Split(pattern, "*")
	first, rest := parts[0], parts[1:]
	if len(rest) == 0 {
		return text == pattern
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for _, part := range rest[:len(rest)-1] {
		_, after, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = after
	}
	return strings.HasSuffix(text, rest[len(rest)-1])
}
