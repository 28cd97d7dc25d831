package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

func (a *app) cmdSecret() *cobra.Command {
	return parent("secret", "Set, list and delete stored secrets; a value is never shown", `  hodei secret set db-password
  hodei secret list`,
		a.cmdSecretSet(), a.cmdSecretList(), a.cmdSecretDelete())
}

func (a *app) cmdSecretSet() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "set NAME", Short: "Set a stored secret; each time makes a version",
		Example: `  hodei secret set db-password                 asks for it, without showing it
  pass show db | hodei secret set db-password
  hodei secret set deploy-key --from-file id_ed25519`,
		Long: `The value is taken from a file as it is, else from standard input or the
keyboard, without the newline at its end. Jobs that name no version get the
newest there is when they are given to a worker.`,
		Args: nameAlone, ValidArgsFunction: a.completing(once(a.secrets)),
		RunE: func(c *cobra.Command, args []string) error {
			value, err := a.secretValue(c.Context(), args[0], file)
			if err != nil {
				return err
			}
			return a.setSecret(c.Context(), args[0], value)
		},
	}
	c.Flags().StringVar(&file, "from-file", "", "take the value from a `FILE`, byte by byte")
	return a.withNoInput(c)
}

// nameAlone refuses a value among the arguments, and does not repeat it.
func nameAlone(c *cobra.Command, args []string) error {
	switch {
	case len(args) > 1, len(args) == 1 && strings.Contains(args[0], "="):
		return &exitError{code: exitUsage, err: errors.New("the value of a secret is not an argument: it would stay in the shell's history, and others here could see it"),
			help: c.CommandPath() + " NAME    asks for it, or reads standard input"}
	}
	return oneArg("name")(c, args)
}

// secretValue takes a value from where the user has it.
func (a *app) secretValue(ctx context.Context, name, file string) ([]byte, error) {
	if file != "" {
		value, from, err := readFile(file)
		if err != nil {
			return nil, usage("cannot read the secret from %s: %s", from, reason(err))
		}
		return value, nil
	}
	if a.noInput && term.IsTerminal(os.Stdin) {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("there is no value for %s: --no-input keeps it from asking", name), help: "--from-file FILE, or pipe it: … | " + a.command.CommandPath() + " " + name}
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	value, asked, err := term.ReadHidden(ctx, os.Stdin, func() {
		fmt.Fprintf(a.stderr, "value of %s, which is not shown:\n", term.Escape(name)) // also with -q: one would wait for nothing
	})
	if !asked && err == nil {
		value, _, err = readFile("-")
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, usage("cannot read the secret: %s", reason(err))
	}
	value = bytes.TrimSuffix(value, []byte("\n"))
	return bytes.TrimSuffix(value, []byte("\r")), nil
}

func (a *app) setSecret(ctx context.Context, name string, value []byte) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	form := map[string]any{"value": string(value)}
	if !utf8.Valid(value) {
		form = map[string]any{"base64": value}
	}
	body, err := json.Marshal(form)
	if err != nil {
		return err
	}
	path := secretPath(name)
	raw, err := cl.Put(ctx, path, a.inNamespace(), body)
	if err != nil {
		return a.newer(ctx, cl, path, err)
	}
	secret, _, err := decode[wire.Secret](a, raw)
	switch {
	case err != nil:
		return err
	case a.programs():
		return a.emit(raw)
	}
	_, err = fmt.Fprintf(a.stdout, "%s set, version %d\n", term.Escape(secret.Name), secret.Version)
	return err
}

func secretPath(name string) string { return "/v1/secrets/" + url.PathEscape(name) }

// inNamespace is the query that names the namespace asked for.
func (a *app) inNamespace() url.Values {
	v := url.Values{}
	set(v, "namespace", a.access.namespace)
	return v
}

var secretColumns = []table.Column{{Name: "NAME"}, {Name: "NS", Rank: 2, Cut: true}, {Name: "VERSION", Right: true},
	{Name: "AGE", Right: true, Rank: 1}, {Name: "SET BY", Key: "set_by", Rank: 3, Cut: true}}

func (a *app) cmdSecretList() *cobra.Command {
	var cursor string
	c := &cobra.Command{
		Use: "list", Short: "List stored secrets: names and versions",
		Example: `  hodei secret list
  hodei secret list -n web -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			v := a.inNamespace()
			set(v, "cursor", cursor)
			return read(c.Context(), a, cl, "/v1/secrets", v, a.showSecrets)
		},
	}
	c.Flags().StringVar(&cursor, "cursor", "", "go on at the `CURSOR` that a page ends with")
	return a.withAllNamespaces(a.withColumns(c, secretColumns))
}

func (a *app) showSecrets(page *wire.Secrets) error {
	if len(page.Items) == 0 {
		a.note("no secret is stored here; store one: hodei secret set NAME")
		return nil
	}
	t := a.table(secretColumns)
	for i := range page.Items {
		s := &page.Items[i]
		t.Row(table.Text(s.Name), table.Text(s.Namespace), table.Text(fmt.Sprint(s.Version)), table.Text(age(a.since(s.SetAt))), table.Text(s.SetBy))
	}
	if err := t.Write(a.stdout, a.out); err != nil {
		return err
	}
	if page.Next != "" {
		a.note("%d shown, there are more: --cursor %s", len(page.Items), page.Next)
	}
	return nil
}

func (a *app) cmdSecretDelete() *cobra.Command {
	c := &cobra.Command{
		Use: "delete NAME…", Short: "Delete stored secrets with all their versions",
		Example: `  hodei secret delete db-password
  hodei secret delete db-password deploy-key --yes`,
		Long: `Nobody can read them any more. A job that asks for one from then on fails as
secret_unavailable. For more than one you are asked, and without a terminal
--yes is needed.`,
		Args: someArgs("name"), ValidArgsFunction: a.completing(a.secrets),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if err := a.agreed(c.Context(), "delete", "deleted", "secret", args); err != nil {
				return err
			}
			return a.each(args, func(name string) error { return a.deleteSecret(c.Context(), cl, name) })
		},
	}
	return a.withYes(c)
}

func (a *app) deleteSecret(ctx context.Context, cl *client.Client, name string) error {
	path := secretPath(name)
	if err := cl.Delete(ctx, path, a.inNamespace()); err != nil {
		return a.newer(ctx, cl, path, err)
	}
	if a.programs() {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "%s deleted\n", term.Escape(name))
	return err
}
