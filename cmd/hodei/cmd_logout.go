package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/wire"
)

// removed removes a file, if it is there.
func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (a *app) cmdLogout() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "Sign out: end the session that hodei login began",
		Example: `  hodei logout
  hodei logout --server https://hodei.example.com`,
		Long: `The server accepts the session no longer, and it is removed from the
configuration folder. A token that was put there otherwise is removed from there
alone: others may use it too.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := a.findServer()
			if err != nil {
				return err
			}
			return a.logout(c.Context(), found.dir)
		},
	}
}

func (a *app) logout(ctx context.Context, dir string) error {
	plain, session := readLine(filepath.Join(dir, tokenName)), readLine(filepath.Join(dir, sessionIn))
	if plain == "" {
		a.note("nobody was signed in")
		return nil
	}
	told := error(nil)
	if session != "" {
		told = a.endSession(ctx, plain, session)
	}
	if err := errors.Join(removed(filepath.Join(dir, tokenName)), removed(filepath.Join(dir, sessionIn))); err != nil {
		return &exitError{code: exitRefused, err: fmt.Errorf("cannot remove the token in %s: %s", short(dir), reason(err))}
	}
	if told != nil {
		a.tell("signed out here; the session goes on at the server until its end")
		return told
	}
	_, err := fmt.Fprintln(a.stdout, "signed out")
	return err
}

// endSession ends a session at the server, if it has not ended already.
func (a *app) endSession(ctx context.Context, plain, session string) error {
	cl, err := a.as(plain)
	if err != nil {
		return err
	}
	who, _, err := fetch[wire.Whoami](ctx, a, cl, "/v1/whoami", nil)
	var p *wire.Problem
	switch {
	case errors.As(err, &p) && p.Status == http.StatusUnauthorized:
		return nil // it has
	case err != nil:
		return err
	case who.ID != session: // the token is another one by now
		return nil
	}
	return cl.Delete(ctx, "/v1/session", url.Values{"revoke": {"true"}})
}
