package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

// pages are those of the dashboard, by the words for them.
var pages = map[string]string{"overview": "/", "jobs": "/jobs", "queue": "/queue", "workers": "/workers", "events": "/events"}

func (a *app) cmdOpen() *cobra.Command {
	var print bool
	c := &cobra.Command{
		Use: "open [PAGE|JOB]", Short: "Open the dashboard, signed in",
		Example: `  hodei open
  hodei open 7f3k9qd2
  hodei open queue --print`,
		Long: `The link signs one browser in, once, within 10 minutes, with the rights of the
token that is used here. It is printed, and opened where there is a display.
Pages: overview, jobs, queue, workers, events.
` + jobNames,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneArg("page or job")(c, args)
		},
		ValidArgsFunction: a.pagesAndJobs,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.openPage(c.Context(), cl, "/", print)
			}
			if page, ok := pages[args[0]]; ok {
				return a.openPage(c.Context(), cl, page, print)
			}
			return a.withJob(c.Context(), cl, args[0], func(id string) error {
				if _, _, err := fetch[wire.Job](c.Context(), a, cl, jobPath(id, ""), nil); err != nil {
					return err
				}
				return a.openPage(c.Context(), cl, "/jobs/"+id, print)
			})
		},
	}
	c.Flags().BoolVar(&print, "print", false, "only print the link")
	return c
}

// pagesAndJobs completes a page or a job.
func (a *app) pagesAndJobs(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	found, directive := a.oneOfJobs("")(c, args, begun)
	if len(args) == 0 {
		found = append(beginning(begun, sortedKeys(pages)...), found...)
	}
	return found, directive
}

// openPage makes a link to a page, prints it, and opens it.
func (a *app) openPage(ctx context.Context, cl *client.Client, page string, print bool) error {
	const path = "/v1/session/links"
	raw, err := cl.Post(ctx, path, []byte("{}"), "")
	if err != nil {
		return a.newer(ctx, cl, path, err)
	}
	link, _, err := decode[wire.Link](a, raw)
	if err != nil {
		return err
	}
	address := cl.URL() + link.Path
	if page != "/" {
		address += "&to=" + url.QueryEscape(page)
	}
	if a.programs() {
		err = a.emit(struct {
			URL     string    `json:"url"`
			Expires time.Time `json:"expires_at"`
		}{address, link.Expires})
	} else {
		_, err = fmt.Fprintln(a.stdout, address)
	}
	if err != nil || print || a.programs() {
		return err
	}
	if err := a.browse(ctx, address); err != nil {
		a.note("open it in a browser: %s", reason(err))
		return nil
	}
	a.note("opened in a browser; it signs in once, within %s", shortly(link.Expires.Sub(a.now()).Round(time.Minute)))
	return nil
}

// browse opens an address in the user's browser, and does not wait for that.
func (a *app) browse(ctx context.Context, address string) error {
	if a.browser != nil {
		return a.browser(address)
	}
	program := "xdg-open"
	switch {
	case runtime.GOOS == "darwin":
		program = "open"
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return fmt.Errorf("there is no display here")
	}
	c := exec.CommandContext(context.WithoutCancel(ctx), program, address)
	if err := c.Start(); err != nil {
		return fmt.Errorf("%s can't be started", program)
	}
	return c.Process.Release()
}
