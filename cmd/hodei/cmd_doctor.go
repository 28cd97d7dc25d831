package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// What hodei doctor takes for wrong, or worth a look.
const (
	maxClockSkew    = 5 * time.Second     // between this machine and the server
	minTokenLeft    = 7 * 24 * time.Hour  // before a token ends
	minCertLeft     = 14 * 24 * time.Hour // before the certificate for workers ends
	minDiskFree     = 1 << 30             // bytes
	minDiskFreePart = 10                  // hundredths of the disk
	doctorPatience  = 5 * time.Second     // with what does not answer
)

// Outcomes of a check.
const (
	checkOK    = "ok"
	checkLook  = "look"  // it works, and somebody should look at it
	checkWrong = "wrong" // exit code 1
)

// check is what was found at one place, and what to do about it.
type check struct {
	Name  string `json:"check"`
	State string `json:"state"`
	Text  string `json:"text"`
	Help  string `json:"help,omitempty"`
}

type doctorFlags struct{ data, http, grpc string }

func (a *app) cmdDoctor() *cobra.Command {
	var f doctorFlags
	c := &cobra.Command{
		Use: "doctor", Short: "Check server, token, clocks, versions, disk, ports, TLS",
		Example: `  hodei doctor
  hodei doctor --data /var/lib/hodei --grpc 10.0.0.5:9090 -o json`,
		Long: `Each check is a line: all is well, look at it, or wrong, with what to do. What
is on the server's machine is checked where its folder is found; --data names
it. Exits with 1 if something is wrong. Nothing is changed.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.doctor(c.Context(), &f) },
	}
	c.Flags().StringVar(&f.data, "data", "", "`FOLDER` of the server's data (default: that of hodei dev, if there is one)")
	c.Flags().StringVar(&f.http, "http", "127.0.0.1:8080", "`ADDRESS` the server is to listen on")
	c.Flags().StringVar(&f.grpc, "grpc", "127.0.0.1:9090", "`ADDRESS` workers are to connect to")
	return c
}

func (a *app) doctor(ctx context.Context, f *doctorFlags) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*doctorPatience)
	defer cancel()
	checks, answers := a.serverChecks(ctx, cl)
	checks = append(checks, a.localChecks(ctx, f, answers)...)
	wrong, look := 0, 0
	for _, c := range checks {
		switch c.State {
		case checkWrong:
			wrong++
		case checkLook:
			look++
		}
	}
	if a.programs() {
		err = a.emit(struct {
			OK     bool    `json:"ok"`
			Checks []check `json:"checks"`
		}{wrong == 0, checks})
	} else {
		err = a.showChecks(checks)
		a.note("%s, %d wrong, %d to look at", count(len(checks), "check"), wrong, look)
	}
	if err == nil && wrong > 0 {
		return silent(exitNo)
	}
	return err
}

func (a *app) showChecks(checks []check) error {
	signs := map[string]string{
		checkOK: a.out.Of("succeeded", a.out.Glyph("succeeded")), checkLook: a.out.Paint(term.Yellow, "!"), checkWrong: a.out.Of("failed", a.out.Glyph("failed")),
	}
	for _, c := range checks {
		line := signs[c.State] + fmt.Sprintf(" %-8s %s", c.Name, term.Escape(c.Text))
		if c.Help != "" {
			line += "\n             help: " + term.Escape(c.Help)
		}
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// serverChecks are about the server as it is reached from here; answers says whether
// it is.
func (a *app) serverChecks(ctx context.Context, cl *client.Client) (checks []check, answers bool) {
	where := a.access.url + from(a.access.urlFrom)
	skew, err := clockSkew(ctx, cl.URL())
	if err != nil {
		e := a.explain(&client.UnreachableError{URL: cl.URL(), Cause: err})
		return []check{{"server", checkWrong, e.err.Error(), e.help}}, false
	}
	checks = []check{{"server", checkOK, where + " answers", ""}, a.readiness(ctx, cl), clockCheck(skew)}
	who, _, err := fetch[wire.Whoami](ctx, a, cl, "/v1/whoami", nil)
	if err != nil {
		e := a.explain(err)
		return append(checks, check{"token", checkWrong, e.err.Error(), e.help}), true
	}
	return append(checks, a.tokenCheck(who), versionCheck(who.Version), a.workersCheck(ctx, cl, who.Version)), true
}

// clockSkew asks a server for nothing, and returns how far its clock is ahead of this
// one, to a second.
func clockSkew(ctx context.Context, server string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/livez", nil)
	if err != nil {
		return 0, err
	}
	before := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	told, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, errors.New("it does not say what time it is")
	}
	// Its seconds are cut off, and it was told some time between before and now.
	switch after := time.Now(); {
	case told.Add(time.Second).Before(before):
		return told.Add(time.Second).Sub(before), nil
	case told.After(after):
		return told.Sub(after), nil
	}
	return 0, nil
}

func clockCheck(skew time.Duration) check {
	const help = "set both clocks by a time service: log times are the server's, and tokens end by its clock"
	switch {
	case skew > maxClockSkew:
		return check{"clock", checkWrong, "the server's is " + took(skew) + " ahead of this machine's", help}
	case -skew > maxClockSkew:
		return check{"clock", checkWrong, "the server's is " + took(-skew) + " behind this machine's", help}
	}
	return check{"clock", checkOK, "the server's is this machine's, to " + shortly(maxClockSkew), ""}
}

func (a *app) readiness(ctx context.Context, cl *client.Client) check {
	ready, err := cl.Ready(ctx)
	var p *wire.Problem
	switch {
	case errors.As(err, &p) && p.Status == http.StatusServiceUnavailable:
		return check{"ready", checkWrong, "it takes no jobs now", "why: " + a.access.url + "/readyz"}
	case err != nil:
		return check{"ready", checkWrong, a.explain(err).err.Error(), "is it hodei? name its address: --server URL"}
	case len(ready.Warnings) > 0:
		return check{"ready", checkLook, strings.Join(ready.Warnings, "; "), ""}
	}
	return check{"ready", checkOK, fmt.Sprintf("it takes jobs, at #%d", ready.Position), ""}
}

func (a *app) tokenCheck(who *wire.Whoami) check {
	all := "namespace " + who.Namespace
	if who.Namespace == "*" {
		all = "all namespaces"
	}
	text := fmt.Sprintf("%s, %s of %s", who.Name, who.Role, all)
	if who.Expires == nil {
		return check{"token", checkOK, text, ""}
	}
	left := who.Expires.Sub(a.now())
	if text += ", ends in " + age(left); left < minTokenLeft {
		return check{"token", checkLook, text, "ask an admin for another"}
	}
	return check{"token", checkOK, text, ""}
}

func versionCheck(server string) check {
	if server != version {
		return check{"version", checkLook, fmt.Sprintf("the server is %s, this hodei is %s", server, version), "update the older one"}
	}
	return check{"version", checkOK, version + ", as the server's", ""}
}

// workersCheck is about the workers that have not ended: that there are some, are
// there, and are as new as the server.
func (a *app) workersCheck(ctx context.Context, cl *client.Client, server string) check {
	page, _, err := fetch[wire.Workers](ctx, a, cl, "/v1/workers", url.Values{"limit": {"1000"}})
	if err != nil {
		return check{"workers", checkWrong, a.explain(err).err.Error(), ""}
	}
	var online int
	var away, old []string
	for _, w := range living(page.Items) {
		name := first(w.Name, w.ID)
		switch w.State {
		case "disconnected", "lost":
			away = append(away, name+" "+w.State+" for "+age(a.since(w.Since)))
		case "online":
			online++
			number, _, _ := strings.Cut(w.Version, " ") // and its commit
			if number != "" && number != server {
				old = append(old, name+" "+w.Version)
			}
		}
	}
	text := fmt.Sprintf("%d online", online)
	switch {
	case online == 0:
		return check{"workers", checkWrong, strings.Join(append([]string{"none is online: every job waits"}, away...), "; "), "add one: hodei worker token --help"}
	case away != nil:
		return check{"workers", checkLook, text + "; " + strings.Join(away, ", "), "hodei worker list"}
	case old != nil:
		return check{"workers", checkLook, text + "; of another version than the server: " + strings.Join(old, ", "), "update the older ones"}
	}
	return check{"workers", checkOK, text, ""}
}

// folder is the server's data folder, if there is one here.
func (f *doctorFlags) folder() (path string, named bool) {
	if path = first(f.data, os.Getenv("HODEI_DATA")); path != "" {
		return path, true
	}
	path = dataDir("dev")
	if _, err := os.Stat(path); err != nil {
		return "", false
	}
	return path, false
}
