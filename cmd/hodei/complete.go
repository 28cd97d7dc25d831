package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

const (
	// completeWithin is how long a shell waits for names to complete; what takes
	// longer is no help.
	completeWithin = 100 * time.Millisecond

	// completeNewest is how many of the newest jobs are looked through.
	completeNewest = 200
)

// completer finds what a word may become. A server that is away is no error: then
// there is nothing to offer.
type completer = func(ctx context.Context, cl *client.Client, args []string, begun string) []cobra.Completion

// completing makes a completion of a completer that asks the server.
func (a *app) completing(find completer) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), completeWithin)
		defer cancel()
		cl, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return find(ctx, cl, args, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// once offers nothing for words after the first.
func once(find completer) completer {
	return func(ctx context.Context, cl *client.Client, args []string, begun string) []cobra.Completion {
		if len(args) > 0 {
			return nil
		}
		return find(ctx, cl, args, begun)
	}
}

// oneOfJobs completes one job; manyJobs completes jobs, each once.
func (a *app) oneOfJobs(states string) cobra.CompletionFunc {
	return a.completing(once(a.jobs(states)))
}
func (a *app) manyJobs(states string) cobra.CompletionFunc { return a.completing(a.jobs(states)) }

// jobs finds ids of the newest jobs in those states, or in all, and names that
// exactly one live job has; names once they are begun, as ids tell them too.
func (a *app) jobs(states string) completer {
	return func(ctx context.Context, cl *client.Client, args []string, begun string) (found []cobra.Completion) {
		v := url.Values{"limit": {strconv.Itoa(completeNewest)}}
		set(v, "state", states)
		set(v, "namespace", a.access.namespace)
		page, _, err := fetch[wire.Jobs](ctx, a, cl, "/v1/jobs", v)
		if err != nil {
			return nil
		}
		live := map[string]int{}
		for i := range page.Items {
			j := &page.Items[i]
			if strings.HasPrefix(j.ID, begun) && !slices.Contains(args, j.ID) {
				found = append(found, cobra.CompletionWithDesc(j.ID, term.Escape(j.State+" "+j.Name)))
			}
			if !j.Terminal() {
				live[j.Name]++
			}
		}
		for i := range page.Items {
			j := &page.Items[i]
			if begun != "" && strings.HasPrefix(j.Name, begun) && live[j.Name] == 1 && !j.Terminal() && plain(j.Name) && !slices.Contains(args, j.Name) {
				found = append(found, cobra.CompletionWithDesc(j.Name, j.State+" "+j.ID))
			}
		}
		if begun != "" && strings.HasPrefix(lastWord, begun) && readLine(filepath.Join(a.access.dir, lastName)) != "" {
			found = append(found, cobra.CompletionWithDesc(lastWord, "the job submitted last from here"))
		}
		return found
	}
}

// plain says whether a shell takes a word as it is: others could not be completed,
// and who made them up may mean harm.
func plain(word string) bool {
	return word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@+,=") == ""
}

// workers finds names of workers.
func (a *app) workers(ctx context.Context, cl *client.Client, _ []string, begun string) (found []cobra.Completion) {
	page, _, err := fetch[wire.Workers](ctx, a, cl, "/v1/workers", url.Values{"limit": {"1000"}})
	if err != nil {
		return nil
	}
	for i := range page.Items {
		if w := &page.Items[i]; strings.HasPrefix(w.Name, begun) && plain(w.Name) {
			found = append(found, cobra.CompletionWithDesc(w.Name, shownState(w)))
		}
	}
	return found
}

// streams finds streams of events: of kinds, of workers, and of the newest jobs.
func (a *app) streams(ctx context.Context, cl *client.Client, args []string, begun string) (found []cobra.Completion) {
	if name, ok := strings.CutPrefix(begun, workerStream); ok {
		return prefixed(workerStream, a.workers(ctx, cl, args, name))
	}
	if name, ok := strings.CutPrefix(begun, "job-"); ok {
		return prefixed("job-", a.jobs("")(ctx, cl, nil, name))
	}
	return beginning(begun, "job-", "namespace-", "secret-", "server-", "settings", "token-", workerStream)
}

// secrets finds names of stored secrets.
func (a *app) secrets(ctx context.Context, cl *client.Client, args []string, begun string) (found []cobra.Completion) {
	all := a.inNamespace()
	all.Set("limit", "1000")
	page, _, err := fetch[wire.Secrets](ctx, a, cl, "/v1/secrets", all)
	if err != nil {
		return nil
	}
	for i := range page.Items {
		if s := &page.Items[i]; strings.HasPrefix(s.Name, begun) && plain(s.Name) && !slices.Contains(args, s.Name) {
			found = append(found, cobra.Completion(s.Name))
		}
	}
	return found
}

// secretsFor finds NAME=SECRET, once the variable has a name.
func (a *app) secretsFor(ctx context.Context, cl *client.Client, args []string, begun string) []cobra.Completion {
	name, secret, ok := strings.Cut(begun, "=")
	if !ok {
		return nil
	}
	return prefixed(name+"=", a.secrets(ctx, cl, args, secret))
}

// requirements finds labels that workers have.
func (a *app) requirements(ctx context.Context, cl *client.Client, _ []string, begun string) []cobra.Completion {
	page, _, err := fetch[wire.Workers](ctx, a, cl, "/v1/workers", url.Values{"limit": {"1000"}})
	if err != nil {
		return nil
	}
	labels := map[string]bool{}
	for i := range page.Items {
		w := &page.Items[i]
		for key, value := range w.Labels {
			labels[key+"="+value] = true
		}
		if w.OS != "" {
			labels["os="+w.OS], labels["arch="+w.Arch] = true, true
		}
	}
	return beginning(begun, sortedKeys(labels)...)
}

// stepsOf finds the names of the steps of the job that was named.
func (a *app) stepsOf(ctx context.Context, cl *client.Client, args []string, begun string) (found []cobra.Completion) {
	if len(args) == 0 {
		return nil
	}
	_ = a.withJob(ctx, cl, args[0], func(id string) error {
		job, _, err := fetch[wire.Job](ctx, a, cl, jobPath(id, ""), nil)
		if err != nil {
			return err
		}
		for i := range job.Steps {
			if s := &job.Steps[i]; strings.HasPrefix(s.Name, begun) && plain(s.Name) {
				found = append(found, cobra.CompletionWithDesc(s.Name, s.State))
			}
		}
		return nil
	})
	return found
}

// namespaces finds those that the token may see.
func (a *app) namespaces(ctx context.Context, cl *client.Client, args []string, begun string) (found []cobra.Completion) {
	page, _, err := fetch[wire.Namespaces](ctx, a, cl, namespacesPath, url.Values{"limit": {"1000"}})
	if err != nil {
		return nil
	}
	for i := range page.Items {
		if n := &page.Items[i]; strings.HasPrefix(n.Name, begun) && !slices.Contains(args, n.Name) {
			found = append(found, cobra.Completion(n.Name))
		}
	}
	return found
}

// variables finds names of variables there are here.
func variables(begun string) []cobra.Completion {
	var names []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	return beginning(begun, names...)
}
