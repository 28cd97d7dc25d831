package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

// leadsOn asks whether the page leads to a provider.
func (a *app) leadsOn(ctx context.Context, page string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	h := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := h.Do(r)
	if err != nil {
		return &client.UnreachableError{URL: a.access.url, Cause: err}
	}
	defer func() { _ = resp.Body.Close() }()
	switch p := new(wire.Problem); {
	case resp.StatusCode == http.StatusSeeOther:
		return nil
	case resp.StatusCode == http.StatusNotFound:
		return &exitError{code: exitRefused, err: fmt.Errorf("nobody can sign in to the server at %s in a browser: it has no provider", a.access.url),
			help: "with a token: hodei login --with-token < FILE    to have one: hodei server --help, --oidc-issuer"}
	case json.NewDecoder(http.MaxBytesReader(nil, resp.Body, maxFile)).Decode(p) == nil && p.Status == resp.StatusCode:
		return p
	}
	return a.notHodei("it does not lead to a provider")
}

// cameBack waits until the browser brings a code.
func cameBack(ctx context.Context, l net.Listener) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, loginLimit)
	defer cancel()
	codes := make(chan string, 1)
	web := http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		code := r.URL.Query().Get("code")
		if r.URL.Path != "/" || code == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprintln(w, "You have signed in; hodei goes on in its terminal. This page may be closed.")
		select {
		case codes <- code:
		default: // one came already
		}
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = web.Serve(l) // it ends when it is told to
	}()
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = web.Shutdown(stopping) // the page is to be written
		_ = web.Close()
		<-served
	}()
	select {
	case code := <-codes:
		return code, nil
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", &exitError{code: exitDenied, err: fmt.Errorf("nobody has signed in within %s", shortly(loginLimit)), help: "begin again: hodei login"}
	}
	return "", ctx.Err()
}

// showPage opens a page in a browser, if there is one; its address was told too.
func showPage(ctx context.Context, page string) {
	name, args := "xdg-open", []string{page}
	switch {
	case os.Getenv("BROWSER") != "":
		name = os.Getenv("BROWSER")
	case runtime.GOOS == "darwin":
		name = "open"
	case runtime.GOOS == "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", page}
	}
	c := exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	if c.Start() == nil {
		go func() { _ = c.Wait() }() // so that it does not stay as a zombie
	}
}
