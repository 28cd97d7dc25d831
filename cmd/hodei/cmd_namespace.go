package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

const namespacesPath = "/v1/namespaces"

func (a *app) cmdNamespace() *cobra.Command {
	return parent("namespace", "List, create, pause and resume namespaces", `  hodei namespace list
  hodei namespace create web`,
		a.cmdNamespaceList(), a.cmdNamespaceGet(), a.cmdNamespaceCreate(), a.cmdNamespacePause(), a.cmdNamespaceResume())
}

var namespaceColumns = []table.Column{{Name: "NS"}, {Name: "STATE"}, {Name: "WAIT", Right: true}, {Name: "RUN", Right: true},
	{Name: "AGE", Right: true, Rank: 2}, {Name: "WHY", Cut: true}, {Name: "DESCRIPTION", Rank: 1, Cut: true}}

func (a *app) cmdNamespaceList() *cobra.Command {
	var cursor string
	c := &cobra.Command{
		Use: "list", Short: "List the namespaces that your token may see",
		Example: `  hodei namespace list
  hodei namespace list -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			v := url.Values{}
			set(v, "cursor", cursor)
			return read(c.Context(), a, cl, namespacesPath, v, a.showNamespaces)
		},
	}
	c.Flags().StringVar(&cursor, "cursor", "", "go on at the `CURSOR` that a page ends with")
	return a.withColumns(c, namespaceColumns)
}

func (a *app) showNamespaces(page *wire.Namespaces) error {
	t := a.table(namespaceColumns)
	for i := range page.Items {
		n, born := &page.Items[i], ""
		if n.Created != nil {
			born = age(a.since(*n.Created))
		}
		t.Row(table.Text(n.Name), table.Text(activity(n)), table.Text(fmt.Sprint(n.Waiting)), table.Text(fmt.Sprint(n.Running)), table.Text(born),
			table.Text(n.Reason), table.Text(n.Description))
	}
	if err := t.Write(a.stdout, a.out); err != nil {
		return err
	}
	if page.Next != "" {
		a.note("%d shown, there are more: --cursor %s", len(page.Items), page.Next)
	}
	return nil
}

// activity is a namespace's state as one word.
func activity(n *wire.Namespace) string {
	if n.Paused {
		return "paused"
	}
	return "active"
}

func (a *app) cmdNamespaceGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show one namespace",
		Example: `  hodei namespace get web
  hodei namespace get web -o json`,
		Args: oneArg("namespace"), ValidArgsFunction: a.completing(once(a.namespaces)),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			return read(c.Context(), a, cl, namespacePath(args[0], ""), nil, a.showNamespace)
		},
	}
}

func namespacePath(name, verb string) string {
	path := namespacesPath + "/" + url.PathEscape(name)
	if verb != "" {
		path += "/" + verb
	}
	return path
}

func (a *app) showNamespace(n *wire.Namespace) error {
	var b strings.Builder
	row := func(key, value string) { fmt.Fprintf(&b, "%-12s %s\n", key, term.Escape(value)) }
	state := activity(n)
	if n.Reason != "" {
		state += ": " + n.Reason
	}
	fmt.Fprintf(&b, "%s   %s\n", term.Escape(n.Name), term.Escape(state))
	row("jobs", fmt.Sprintf("%d waiting, %d running", n.Waiting, n.Running))
	if n.Created != nil {
		row("created", age(a.since(*n.Created))+" ago")
	}
	row("description", first(n.Description, "-"))
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}

func (a *app) cmdNamespaceCreate() *cobra.Command {
	var description string
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a namespace, to which jobs can be submitted then",
		Example: `  hodei namespace create web
  hodei namespace create ml --description 'training'`,
		Long: "It takes an admin's token for all namespaces. A namespace is not deleted: what\nhappened in it stays in the log.",
		Args: oneArg("name"),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := json.Marshal(map[string]string{"name": args[0], "description": description})
			if err != nil {
				return err
			}
			return a.changeNamespaces(c.Context(), args, func(string) string { return namespacesPath }, body, "created")
		},
	}
	c.Flags().StringVar(&description, "description", "", "`TEXT` that says what it is for")
	return c
}

func (a *app) cmdNamespacePause() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "pause NAME…", Short: "Let the waiting jobs of namespaces wait on",
		Example: `  hodei namespace pause web --reason 'the database is being moved'
  hodei namespace pause web ml`,
		Long: "Jobs can still be submitted; none is started. Those that run go on.",
		Args: someArgs("namespace"), ValidArgsFunction: a.completing(a.namespaces),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := json.Marshal(map[string]string{"reason": reason})
			if err != nil {
				return err
			}
			return a.changeNamespaces(c.Context(), args, func(name string) string { return namespacePath(name, "pause") }, body, "paused")
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, which those see whose jobs wait")
	return c
}

func (a *app) cmdNamespaceResume() *cobra.Command {
	return &cobra.Command{
		Use: "resume NAME…", Short: "Let the waiting jobs of namespaces be started again",
		Example: `  hodei namespace resume web
  hodei namespace resume web ml`,
		Args: someArgs("namespace"), ValidArgsFunction: a.completing(a.namespaces),
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeNamespaces(c.Context(), args, func(name string) string { return namespacePath(name, "resume") }, []byte("{}"), "resumed")
		},
	}
}

// changeNamespaces posts to each namespace's path and says what was done.
func (a *app) changeNamespaces(ctx context.Context, names []string, path func(string) string, body []byte, done string) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	return a.each(names, func(name string) error { return a.changeNamespace(ctx, cl, path(name), body, done) })
}

func (a *app) changeNamespace(ctx context.Context, cl *client.Client, path string, body []byte, done string) error {
	raw, err := cl.Post(ctx, path, body, "")
	if err != nil {
		return a.newer(ctx, cl, path, err)
	}
	n, _, err := decode[wire.Namespace](a, raw)
	switch {
	case err != nil:
		return err
	case a.programs():
		return a.emit(raw)
	}
	_, err = fmt.Fprintf(a.stdout, "%s %s\n", term.Escape(n.Name), done)
	return err
}
