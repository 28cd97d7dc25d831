package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// workerChange is what is asked of a worker; what is empty is left out.
type workerChange struct {
	Reason   string `json:"reason,omitempty"`
	Deadline string `json:"deadline,omitempty"`
}

func (a *app) cmdWorkerCordon() *cobra.Command {
	var change workerChange
	c := a.workerCommand("cordon", "Keep new jobs away from workers; those they have go on", &change)
	c.Example = `  hodei worker cordon atlas
  hodei worker cordon atlas borea --reason "a new kernel"`
	c.Flags().StringVar(&change.Reason, "reason", "", "`WORDS` for those who ask why later")
	return c
}

func (a *app) cmdWorkerUncordon() *cobra.Command {
	c := a.workerCommand("uncordon", "Let cordoned workers take jobs again", &workerChange{})
	c.Example = `  hodei worker uncordon atlas
  hodei worker uncordon atlas borea`
	return c
}

func (a *app) cmdWorkerDrain() *cobra.Command {
	var change workerChange
	c := a.workerCommand("drain", "Let workers end when their jobs have ended", &change)
	c.Example = `  hodei worker drain atlas
  hodei worker drain atlas --deadline 30m --reason "it goes out of service"`
	c.Long = `A worker that drains takes no new job, which can't be undone; when its jobs have
ended its agent ends too. With --deadline jobs that still run then are stopped,
as cancelled ones are. For more than one you are asked, and without a terminal
--yes is needed. To keep jobs away for a while there is cordon.`
	c.Flags().StringVar(&change.Reason, "reason", "", "`WORDS` for those who ask why later")
	c.Flags().StringVar(&change.Deadline, "deadline", "", "stop what still runs after `TIME`, such as 30m (default: never)")
	return a.withYes(c)
}

// workerCommand is a command that changes workers.
func (a *app) workerCommand(verb, short string, change *workerChange) *cobra.Command {
	return &cobra.Command{
		Use: verb + " WORKER…", Short: short,
		Args: someArgs("worker"), ValidArgsFunction: a.completing(a.workers),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := json.Marshal(change)
			if err != nil {
				return err
			}
			if verb == "drain" {
				if err := a.agreed(c.Context(), verb, "drained", "worker", args); err != nil {
					return err
				}
			}
			return a.each(args, func(text string) error { return a.changeWorker(c.Context(), text, verb, body) })
		},
	}
}

func (a *app) changeWorker(ctx context.Context, text, verb string, body []byte) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	named, _, err := a.worker(ctx, cl, text)
	if err != nil {
		return err
	}
	path := workerPath(named.ID) + "/" + verb
	raw, err := cl.Post(ctx, path, body, "")
	if err != nil {
		return a.newer(ctx, cl, path, err)
	}
	w, _, err := decode[wire.Worker](a, raw)
	switch {
	case err != nil:
		return err
	case a.programs():
		return a.emit(raw)
	}
	line := term.Escape(first(w.Name, w.ID)) + " " + shownState(w)
	if w.Jobs > 0 {
		line += ", " + count(w.Jobs, "job") + " left"
	}
	if w.DrainUntil != nil && w.Draining {
		line += ", until " + a.clock(*w.DrainUntil)
	}
	_, err = fmt.Fprintln(a.stdout, line)
	return err
}
