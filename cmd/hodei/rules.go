package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ignores is the annotation with the flags of all commands that mean nothing to a
// command, separated by blanks: they are left out of its help, and refused.
const ignores = "ignores"

const (
	noServer    = "server token-file namespace timeout" // a command that asks no server
	noNamespace = "namespace"                           // one whose things are in no namespace
)

// ignoring marks what a command, and those below it, have no use for.
func ignoring(c *cobra.Command, flags string) *cobra.Command {
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[ignores] = flags
	for _, child := range c.Commands() {
		ignoring(child, flags)
	}
	return c
}

// taken are the flags of all commands that this one has a use for.
func taken(c *cobra.Command) *pflag.FlagSet {
	left := strings.Fields(c.Annotations[ignores])
	flags := pflag.NewFlagSet(c.Name(), pflag.ContinueOnError)
	c.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		for _, name := range left {
			if f.Name == name {
				return
			}
		}
		flags.AddFlag(f)
	})
	return flags
}

func refuseIgnored(c *cobra.Command) error {
	for _, name := range strings.Fields(c.Annotations[ignores]) {
		if c.Flags().Changed(name) {
			return usage("%s has no use for --%s", c.CommandPath(), name)
		}
	}
	return nil
}

// rule is a flag that means nothing where it holds.
type rule struct {
	flag  string // its name
	where bool
	why   string
}

// refuse refuses the flags that were given where they mean nothing: who gave one
// expects something of it.
func refuse(c *cobra.Command, rules ...rule) error {
	for _, r := range rules {
		if r.where && c.Flags().Changed(r.flag) {
			return &exitError{code: exitUsage, err: fmt.Errorf("--%s does not fit: %s", r.flag, r.why), help: c.CommandPath() + " --help"}
		}
	}
	return nil
}

// refuseNoText refuses words that are not UTF-8. In JSON, which is what a server is
// told, they would become others without a word. Names of files are not told.
func refuseNoText(c *cobra.Command) error {
	var found error
	c.Flags().Visit(func(f *pflag.Flag) {
		if kind, _ := pflag.UnquoteUsage(f); found == nil && kind != "FILE" && kind != "FOLDER" {
			found = noText(f)
		}
	})
	if found != nil {
		return found
	}
	for i, text := range c.Flags().Args() {
		if !utf8.ValidString(text) {
			return usage("argument %d is not UTF-8: %s", i+1, text)
		}
	}
	return nil
}

// noText tells of a flag's value. One of --secret is not shown.
func noText(f *pflag.Flag) error {
	values := []string{f.Value.String()}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	for _, text := range values {
		name, _, _ := strings.Cut(text, "=")
		switch {
		case utf8.ValidString(text):
		case f.Name == "secret":
			return noTextIn("--secret " + name)
		default:
			return usage("--%s is not UTF-8: %s", f.Name, text)
		}
	}
	return nil
}

// noTextIn tells of a secret whose value is not UTF-8.
func noTextIn(what string) error {
	return &exitError{code: exitUsage, err: errors.New(what + " is not UTF-8"), help: "store its bytes: hodei secret set NAME --from-file FILE    and use --secret-from"}
}

// writable says whether a file can be written later. What is in it stays, and it
// is not left behind.
func writable(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil // a device or a pipe, which an attempt might change
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		return errors.Join(f.Close(), os.Remove(path))
	}
	if errors.Is(err, os.ErrExist) {
		if f, err = os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			return f.Close()
		}
	}
	return err
}

// each calls fn for each argument. That one fails does not keep the others from
// being done; each error is told, and the first gives the exit code. Where the
// server does not answer there is nothing to go on with.
func (a *app) each(args []string, fn func(text string) error) error {
	code := exitOK
	for _, text := range args {
		err := fn(text)
		if err == nil {
			continue
		}
		failed := a.report(err)
		if code == exitOK {
			code = failed
		}
		if failed == exitUnreachable || failed == exitInterrupted {
			break
		}
	}
	if code == exitOK {
		return nil
	}
	return silent(code)
}
