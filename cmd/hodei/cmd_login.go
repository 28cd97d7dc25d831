package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// loginLimit is how long hodei login waits for somebody to sign in.
const loginLimit = 10 * time.Minute

func (a *app) cmdLogin() *cobra.Command {
	var noBrowser, withToken bool
	c := &cobra.Command{
		Use: "login", Short: "Sign in to a server, in a browser or with a token",
		Example: `  hodei login --server https://hodei.example.com
  hodei login --with-token < ci.token`,
		Long: `It opens the page of the provider at which people of this server sign in, and
waits for the browser, on this machine, to come back. The session lasts 12
hours. It, or the token, is kept in the configuration folder for all other
commands; hodei logout ends it.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := a.findServer()
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(c.Context())
			defer stop()
			if withToken {
				return a.loginByToken(ctx, found)
			}
			return a.loginInBrowser(ctx, found, noBrowser)
		},
	}
	c.Flags().BoolVar(&noBrowser, "no-browser", false, "say the page's address, and open none")
	c.Flags().BoolVar(&withToken, "with-token", false, "read a token from standard input and keep that")
	c.MarkFlagsMutuallyExclusive("no-browser", "with-token")
	return c
}

// findServer finds the server, whoever asks it.
func (a *app) findServer() (access, error) {
	found, err := a.findAccess()
	if err != nil {
		return access{}, err
	}
	a.access = found
	return found, nil
}

// as is a client with that token, or none.
func (a *app) as(token string) (*client.Client, error) {
	cl, err := client.New(client.Config{URL: a.access.url, Token: token})
	if err != nil {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("the server's address is %q%s; it must be a URL such as %s", a.access.url, from(a.access.urlFrom), defaultURL)}
	}
	return cl, nil
}

// loginByToken keeps a token that somebody has, if the server accepts it.
func (a *app) loginByToken(ctx context.Context, found access) error {
	if term.IsTerminal(os.Stdin) {
		return usage("--with-token reads the token from standard input, which is a terminal: it would be shown; pipe it, or < FILE")
	}
	b, _, err := readFile("-")
	if err != nil {
		return usage("cannot read the token: %s", reason(err))
	}
	plain := strings.TrimSpace(string(b))
	a.access.token, a.access.tokenFrom = plain, "standard input"
	cl, err := a.as(plain)
	if err != nil {
		return err
	}
	who, _, err := fetch[wire.Whoami](ctx, a, cl, "/v1/whoami", nil)
	if err != nil {
		return err
	}
	return a.signedIn(found, plain, "", who)
}

// loginInBrowser lets somebody sign in at the server's provider.
func (a *app) loginInBrowser(ctx context.Context, found access, noBrowser bool) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return usage("cannot listen for the browser to come back: %s", reason(err))
	}
	defer func() { _ = l.Close() }()
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	page := strings.TrimRight(found.url, "/") + "/login/oidc?" + url.Values{
		"port": {strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}, "challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}.Encode()
	cl, err := a.as("")
	if err != nil {
		return err
	}
	if err := a.leadsOn(ctx, page); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "sign in at %s\n", page) // also with -q: one would wait for nothing
	if !noBrowser {
		showPage(ctx, page)
	}
	code, err := cameBack(ctx, l)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"code": code, "verifier": verifier})
	if err != nil {
		return err
	}
	raw, err := cl.Post(ctx, "/login/oidc/token", body, "")
	if err != nil {
		return err
	}
	s, _, err := decode[wire.PersonalSession](a, raw)
	if err != nil {
		return err
	}
	return a.signedIn(found, s.Plain, s.ID, &wire.Whoami{ID: s.ID, Name: s.Name, Role: s.Role, Namespace: s.Namespace, Expires: &s.Expires})
}

// signedIn keeps a token for the other commands; session is its id if it ends with
// a logout.
func (a *app) signedIn(found access, plain, session string, who *wire.Whoami) error {
	if err := a.keepSession(found.dir, plain, session); err != nil {
		return err
	}
	for _, name := range []string{"HODEI_API_TOKEN", "HODEI_TOKEN_FILE"} {
		if os.Getenv(name) != "" {
			a.note("%s is set, and goes before what was kept now", name)
		}
	}
	if a.programs() {
		return a.emit(who)
	}
	_, err := fmt.Fprintf(a.stdout, "signed in to %s as %s, %s in %s, %s\n", a.access.url, term.Escape(who.Name), who.Role, spoken(who.Namespace), a.until(who.Expires))
	return err
}

func (a *app) keepSession(dir, plain, session string) error {
	err := keep(filepath.Join(dir, tokenName), plain)
	if err == nil && session != "" {
		err = keep(filepath.Join(dir, sessionIn), session)
	}
	if err == nil && session == "" {
		err = removed(filepath.Join(dir, sessionIn))
	}
	if err != nil {
		return &exitError{code: exitRefused, err: fmt.Errorf("cannot keep the token in %s: %s", short(dir), reason(err)), help: "HODEI_CONFIG_DIR names another folder"}
	}
	return nil
}
