package api

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
)

// life plays the life of one job, word by word.
type life struct {
	*site
	job id.ID
	now *attempt
	n   uint32
}

func (l *life) play(word string) {
	l.t.Helper()
	var errs []error
	ctx := l.t.Context()
	switch word {
	case "bind":
		l.n++
		_, errs = l.commands.BindJobs(ctx, tester, []commands.Binding{{Job: l.job, Attempt: l.n, Worker: l.id()}})
	case "start":
		l.n++
		l.now = l.start(l.job.String(), l.n)
	case "exit3":
		l.now.finish(failed(3))
	case "cannot_start":
		l.now.finish(job.Finish{Outcome: job.OutcomeFailed, Cause: "cannot_start"})
	case "succeed":
		l.now.finish(succeeded())
	case "lose":
		_, errs = l.commands.LoseJobs(ctx, tester, []commands.Loss{{Job: l.job, Lose: job.Lose{Attempt: l.n, Cause: job.CauseWorkerLost}}})
	case "expire":
		_, errs = l.commands.ExpireJobs(ctx, tester, []commands.Expiry{{Job: l.job, Expire: job.Expire{Attempt: l.n}}})
	case "due":
		_, errs = l.commands.RequeueJobs(ctx, tester, []commands.Requeue{{Job: l.job, Requeue: job.Requeue{Attempt: l.n, Cause: job.CauseBackoffOver}}})
	case "return":
		_, errs = l.commands.RequeueJobs(ctx, tester, []commands.Requeue{{Job: l.job, Requeue: job.Requeue{Attempt: l.n, Cause: job.CauseWorkerLost}}})
	case "cancel":
		_, err := l.commands.CancelJob(ctx, tester, l.job, "")
		errs = []error{err}
	}
	for _, err := range errs {
		if err != nil {
			l.t.Fatalf("%s: %v", word, err)
		}
	}
}

// A job says the same in a list and by itself, at each step of its life, and
// never how an attempt ended that was not the last.
func TestAJobIsTheSameInListsAndByItself(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	get := func(path string) []byte {
		_, _, body := s.request("GET", path, plain, "")
		return body
	}
	for _, words := range []string{
		"start succeed", "start exit3 due start", "start exit3 due start succeed", "start exit3 due bind", "start exit3 due start lose due start lose",
		"start exit3 due start cannot_start", "start exit3 cancel", "start exit3 due cancel", "start exit3 due bind cancel", "start exit3 due start cancel lose",
		"start exit3 due start cancel expire", "start exit3 due start cancel exit3", "bind return bind return", "start lose due start exit3", "cancel", "bind cancel lose",
	} {
		one := s.submit(s.admin(), `{"command":"x","timeout":"1h","retries":{"max":2}}`)
		l := &life{site: s, job: parseID(t, one.ID)}
		var v wire.Job
		for _, word := range strings.Fields(words) {
			l.play(word)
			v = decode[wire.Job](t, get("/v1/jobs/"+one.ID))
			ended := v.Terminal()
			if !ended && (v.ExitCode != nil || v.Signal != "" || v.Finished != nil) {
				t.Errorf("%s, after %s: it says of its end: %s", words, word, mustJSON(t, v))
			}
			v.Spec, v.Steps, v.Usage = nil, nil, nil
			list := decode[wire.Jobs](t, get("/v1/jobs?limit=1")).Items[0]
			if a, b := mustJSON(t, list), mustJSON(t, v); string(a) != string(b) {
				t.Errorf("%s, after %s: listed as\n%s\nby itself\n%s", words, word, a, b)
			}
		}
		if want := map[string]*int32{"exit3": proto.Int32(3), "succeed": proto.Int32(0)}[words[strings.LastIndex(words, " ")+1:]]; v.Terminal() && (want == nil) != (v.ExitCode == nil) {
			t.Errorf("%s: ended with exit code %v", words, v.ExitCode)
		}
	}
}

// A name means the worker that lives, in whatever order there were more.
func TestANameMeansTheWorkerThatLives(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	low, high := id.ID(1000), id.ID(2000)
	for name, ids := range map[string][2]id.ID{"rising": {low, high}, "falling": {high + 1, low + 1}} {
		gone, lives := s.workerAs(ids[0], name), s.workerAs(ids[1], name)
		if _, err := s.commands.TerminateWorker(t.Context(), tester, ids[0], ""); err != nil {
			t.Fatal(err)
		}
		_, _, body := s.request("GET", "/v1/workers/"+name, plain, "")
		if got := decode[wire.Worker](t, body).ID; got != lives {
			t.Errorf("%s means %s, which is gone: %s; not %s", name, got, gone, lives)
		}
	}
}
