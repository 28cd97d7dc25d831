package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

func (a *app) cmdJobRerun() *cobra.Command {
	var f runFlags
	var replace bool
	c := &cobra.Command{
		Use: "rerun JOB… [flags] [-- CMD ARG…]", Short: "Run jobs again, changed or as they were",
		Example: `  hodei job rerun 6wv0p3nc --memory 12Gi
  hodei job rerun 4kq8wz2m --replace --requires gpu=a10 --detach`,
		Long: `The new job has the old one's spec; what flags say is other, as in run. One job
is followed and this exits as it did, as run does; of several the new ids are
printed, as with --detach. With --replace the old one is cancelled, if it still
waits. Values of its own secrets go along for a week after its end, but not to
another command, environment or other secrets: then give them again.
` + jobNames,
		Annotations: map[string]string{footer: jobExitCodes},
		Args:        func(c *cobra.Command, args []string) error { return someArgs("job")(c, jobsOf(c, args)) }, ValidArgsFunction: a.manyJobs(""),
		RunE: func(c *cobra.Command, args []string) error {
			jobs := jobsOf(c, args)
			changes, err := f.changes(c, args[len(jobs):])
			if err == nil {
				err = f.rerunRules(c, changes, len(jobs))
			}
			if err != nil {
				return err
			}
			body, err := json.Marshal(wire.Rerun{Changes: changes, Replace: replace})
			if err != nil {
				return err
			}
			if len(jobs) > 1 {
				f.detach = true
			}
			return a.each(jobs, func(text string) error {
				return a.withJobOf(c.Context(), text, func(cl *client.Client, id string) error { return a.rerun(c.Context(), cl, &f, id, body) })
			})
		},
	}
	f.register(c)
	c.Flags().BoolVar(&replace, "replace", false, "cancel the old one, if it still waits")
	return a.withProgress(c)
}

// jobsOf are the arguments before -- CMD.
func jobsOf(c *cobra.Command, args []string) []string {
	if n := c.ArgsLenAtDash(); n >= 0 {
		return args[:n]
	}
	return args
}

// changes are what the flags and the command line want of the new job that the old
// one did not have; nil for nothing.
func (f *runFlags) changes(c *cobra.Command, argv []string) (json.RawMessage, error) {
	built := map[string]any{}
	if len(argv) > 0 {
		built["argv"] = argv
		f.relative = wholePath(argv[0])
	}
	if err := f.apply(c, built); err != nil || len(built) == 0 {
		return nil, err
	}
	changes, err := json.Marshal(built)
	if err != nil {
		return nil, err
	}
	if _, ok := built["argv"]; !ok { // what the changes say is judged as part of some job
		built["argv"] = []string{"true"}
		delete(built, "shell")
	}
	whole, err := json.Marshal(built)
	if err != nil {
		return nil, err
	}
	if _, err := spec.Parse(whole); err != nil {
		return nil, f.explain(c, err)
	}
	return changes, nil
}

// rerunRules refuses flags that could not do what they are for, as rules does.
func (f *runFlags) rerunRules(c *cobra.Command, changes json.RawMessage, jobs int) error {
	var asked struct{ Argv []string }
	_ = json.Unmarshal(changes, &asked) // they were made here
	if err := refuse(c,
		rule{"idempotency-key", f.key == "", "it is empty, so that each submission would be another job"},
		rule{"idempotency-key", jobs > 1, "one key stands for one job"},
		rule{"result", jobs > 1, "several jobs are not waited for"},
		rule{"raw", jobs > 1, "several jobs are not followed"},
		rule{"progress", jobs > 1, "several jobs are not waited for"},
		rule{"shell", asked.Argv != nil, "what stands behind -- is run without a shell; -- sh -c 'CMD' has one"},
	); err != nil {
		return err
	}
	return f.outputRules(c)
}

// rerun runs a job again and, unless detached, follows the new one.
func (a *app) rerun(ctx context.Context, cl *client.Client, f *runFlags, id string, body []byte) error {
	path := jobPath(id, "/rerun")
	var raw json.RawMessage
	keys := catch()
	defer keys.release()
	err := keys.during(ctx, func(ctx context.Context) (err error) {
		raw, err = cl.Post(ctx, path, body, f.key)
		return a.newer(ctx, cl, path, err)
	})
	if err != nil {
		var p *wire.Problem
		if errors.As(err, &p) && p.Status == 404 {
			return err // it may be a name
		}
		return a.followless(f, a.inChanges(f, err))
	}
	job, _, err := decode[wire.Job](a, raw)
	if err != nil {
		return a.followless(f, err)
	}
	a.keepLast(job.ID)
	if f.detach {
		return a.printSubmitted(job, raw)
	}
	if whole, _, err := fetch[wire.Job](ctx, a, cl, jobPath(job.ID, ""), nil); err == nil { // the answer to a submission is short
		job.Spec = whole.Spec
	}
	return a.followRun(ctx, cl, keys, f, job)
}

// followless is an error of a job that was to be followed, with the exit code that
// run has for no result.
func (a *app) followless(f *runFlags, err error) error {
	if f.detach {
		return err
	}
	return a.noResult(err)
}

// inChanges tells of faults of the changed spec in the words of the flags that
// changed it.
func (a *app) inChanges(f *runFlags, err error) error {
	var p *wire.Problem
	if !errors.As(err, &p) || a.programs() || len(p.Errors) == 0 {
		return err
	}
	e := *a.explainProblem(p)
	for i, d := range p.Errors {
		place, ok := strings.CutPrefix(d.Location, "body.changes.")
		if !ok {
			return err
		}
		if name, ok := strings.CutPrefix(place, "secrets."); ok && e.help == "" && f.secretFlag(place) == "" {
			e.help = "give it again: --secret " + name + "=VALUE"
		}
		text := fmt.Sprintf("%s: %s", f.nameOf(a.command, place), d.Message)
		if i == 0 {
			e.err, e.more = errors.New(text), nil
			continue
		}
		e.also = append(e.also, finding{text: text})
	}
	if e.help == "" {
		e.help = "all flags: " + a.command.CommandPath() + " --help"
	}
	return &e
}
