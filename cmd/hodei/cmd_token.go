package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// roleNames are those a token may have, the least first.
var roleNames = []string{"viewer", "submitter", "operator", "admin"}

// everyNamespace is the namespace of a token for all.
const everyNamespace = "*"

func (a *app) cmdToken() *cobra.Command {
	return parent("token", "Create, list and revoke API tokens", `  hodei token create ci --role submitter -n web > ci.token
  hodei token list`,
		a.cmdTokenCreate(), a.cmdTokenList(), a.cmdTokenRevoke())
}

func (a *app) cmdTokenCreate() *cobra.Command {
	var role, ttl string
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a token; it is shown this once",
		Example: `  hodei token create ci --role submitter -n web > ci.token
  hodei token create grafana --role viewer -A --ttl never > grafana.token`,
		Long: `The token, which is a secret, is written to standard output alone; the server
keeps only what it is recognised by. Who has it says so:

  hodei job list --token-file ci.token

A viewer reads, a submitter submits and cancels jobs too, an operator changes
secrets, namespaces and workers too, an admin all. It is for the namespace that
-n names, else for as much as your own token; -A says all.`,
		Args: oneArg("name"),
		RunE: func(c *cobra.Command, args []string) error {
			if !slices.Contains(roleNames, role) {
				return usage("--role is %q; it says what the token may do: %s", role, strings.Join(roleNames, ", "))
			}
			return a.createToken(c.Context(), map[string]any{"name": args[0], "role": role}, ttl)
		},
	}
	c.Flags().StringVar(&role, "role", "", "`ROLE`: viewer, submitter, operator or admin")
	c.Flags().StringVar(&ttl, "ttl", "90d", "it is good for `TIME`, such as 12h or 30d, or never: without end")
	return a.withAllNamespaces(c)
}

func (a *app) createToken(ctx context.Context, form map[string]any, ttl string) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	form["lifetime"] = ttl
	switch {
	case a.allNamespaces:
		form["namespace"] = everyNamespace
	case a.access.namespace != "":
		form["namespace"] = a.access.namespace
	}
	body, err := json.Marshal(form)
	if err != nil {
		return err
	}
	raw, err := cl.Post(ctx, tokensPath, body, "")
	if err != nil {
		return a.newer(ctx, cl, tokensPath, err)
	}
	made, _, err := decode[wire.MadeToken](a, raw)
	switch {
	case err != nil:
		return err
	case a.programs():
		return a.emit(raw)
	}
	if _, err := fmt.Fprintln(a.stdout, made.Plain); err != nil {
		return err
	}
	a.note("%s is a token for a %s in %s, %s; it is shown only now, end it: hodei token revoke %s",
		made.ID, made.Role, spoken(made.Namespace), a.until(made.Expires), made.ID)
	return nil
}

const tokensPath = "/v1/tokens"

// spoken is a namespace, or all.
func spoken(namespace string) string {
	if namespace == everyNamespace {
		return "all namespaces"
	}
	return "namespace " + namespace
}

// until says how long something is good for.
func (a *app) until(expires *time.Time) string {
	if expires == nil {
		return "without end"
	}
	return "until " + a.clock(*expires)
}

var tokenColumns = []table.Column{{Name: "TOKEN"}, {Name: "STATE", Rank: 2}, {Name: "NAME", Cut: true}, {Name: "HINT"}, {Name: "ROLE"}, {Name: "NS", Cut: true},
	{Name: "AGE", Right: true, Rank: 3}, {Name: "LEFT", Right: true}, {Name: "USED", Right: true, Rank: 1}}

func (a *app) cmdTokenList() *cobra.Command {
	var cursor string
	var ended bool
	c := &cobra.Command{
		Use: "list", Short: "List tokens: what each may do, how long, and when it was last used",
		Example: `  hodei token list
  hodei token list -n web --ended`,
		Long: "A token is recognised by its last characters. Sessions of browsers are tokens\ntoo.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			v := a.inNamespace()
			set(v, "cursor", cursor)
			if ended {
				v.Set("all", "true")
			}
			return read(c.Context(), a, cl, tokensPath, v, a.showTokens)
		},
	}
	c.Flags().BoolVar(&ended, "ended", false, "expired and revoked ones too")
	c.Flags().StringVar(&cursor, "cursor", "", "go on at the `CURSOR` that a page ends with")
	return a.withAllNamespaces(a.withColumns(c, tokenColumns))
}

func (a *app) showTokens(page *wire.Tokens) error {
	if len(page.Items) == 0 {
		a.note("no token is there; make one: hodei token create NAME --role ROLE")
		return nil
	}
	t := a.table(tokenColumns)
	for i := range page.Items {
		k := &page.Items[i]
		left, used := "", "never"
		switch {
		case k.State != "active":
		case k.Expires == nil:
			left = "no end"
		default:
			left = age(k.Expires.Sub(a.now()))
		}
		if k.Used != nil {
			used = age(a.since(*k.Used)) + " ago"
		}
		t.Row(table.Text(k.ID), table.Text(k.State), table.Text(k.Name), table.Text("…"+k.Hint), table.Text(k.Role), table.Text(k.Namespace),
			table.Text(age(a.since(k.Created))), table.Text(left), table.Text(used))
	}
	if err := t.Write(a.stdout, a.out); err != nil {
		return err
	}
	if page.Next != "" {
		a.note("%d shown, there are more: --cursor %s", len(page.Items), page.Next)
	}
	return nil
}

func (a *app) cmdTokenRevoke() *cobra.Command {
	c := &cobra.Command{
		Use: "revoke TOKEN…", Short: "End tokens: the server accepts them no longer",
		Example: `  hodei token revoke t2c8v0xk
  hodei token revoke t2c8v0xk k5m1z9qa --yes`,
		Long: `A token is named by its id, which hodei token list shows. Streams that it has
open end too; a browser's session that was made with it goes on until its own
end. For more than one you are asked, and without a terminal --yes is needed.`,
		Args: someArgs("token"), ValidArgsFunction: a.completing(a.tokens),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if err := a.agreed(c.Context(), "revoke", "revoked", "token", args); err != nil {
				return err
			}
			return a.each(args, func(id string) error { return a.revokeToken(c.Context(), cl, id) })
		},
	}
	return a.withYes(c)
}

func (a *app) revokeToken(ctx context.Context, cl *client.Client, id string) error {
	path := tokensPath + "/" + url.PathEscape(strings.TrimPrefix(id, "token-"))
	if err := cl.Delete(ctx, path, nil); err != nil {
		return a.newer(ctx, cl, path, err)
	}
	if a.programs() {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "%s revoked\n", term.Escape(id))
	return err
}

// tokens finds ids of tokens.
func (a *app) tokens(ctx context.Context, cl *client.Client, args []string, begun string) (found []cobra.Completion) {
	page, _, err := fetch[wire.Tokens](ctx, a, cl, tokensPath, url.Values{"limit": {"1000"}})
	if err != nil {
		return nil
	}
	for i := range page.Items {
		if t := &page.Items[i]; strings.HasPrefix(t.ID, begun) && !slices.Contains(args, t.ID) {
			found = append(found, cobra.CompletionWithDesc(t.ID, term.Escape(t.Role+" "+t.Name)))
		}
	}
	return found
}
