package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

const settingsPath = "/v1/settings"

// settingsMeaning says in a few words what each setting is.
var settingsMeaning = map[string]string{
	"aging_step":          "waiting time that 1 point of priority is worth; of jobs submitted from then on",
	"kept_finished":       "ended jobs that stay in memory, for lists",
	"orphan_after":        "how long an agent goes on with its jobs without any server",
	"policy":              "which worker gets a job: binpack the fullest, leastloaded the one with the most room",
	"reconnect_tolerance": "how long a worker may be silent until it is lost",
	"secret_retention":    "how long a job's own secrets can be read after its end",
}

// values are settings by name, as they are written.
type values map[string]string

func (a *app) cmdSettings() *cobra.Command {
	return parent("settings", "Show and change what shapes the whole cluster", `  hodei settings get
  hodei settings set policy=leastloaded`,
		a.cmdSettingsGet(), a.cmdSettingsSet())
}

func (a *app) cmdSettingsGet() *cobra.Command {
	return &cobra.Command{
		Use: "get [NAME…]", Short: "Show all settings, or some",
		Example: `  hodei settings get
  hodei settings get policy reconnect_tolerance
  hodei settings get -o json`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return settingNames(args, begun, ""), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			raw, err := cl.Raw(c.Context(), settingsPath, nil)
			if err != nil {
				return a.newer(c.Context(), cl, settingsPath, err)
			}
			_, now, err := a.readSettings(raw)
			if err != nil {
				return err
			}
			for _, name := range args {
				if _, ok := now[name]; !ok {
					return unknownSetting(name, now)
				}
			}
			if a.output == "json" {
				return a.emit(raw)
			}
			return a.showSettings(now, args)
		},
	}
}

func (a *app) cmdSettingsSet() *cobra.Command {
	var version uint64
	c := &cobra.Command{
		Use: "set NAME=VALUE…", Short: "Change settings, for all of the cluster and at once",
		Example: `  hodei settings set policy=leastloaded
  hodei settings set reconnect_tolerance=2m orphan_after=4h
  hodei settings set kept_finished=50000 --if-version 3`,
		Long: `Durations are written as in job files: 30s, 1h30m, 7d. All that is named is
changed together or not at all. It takes an admin of all namespaces, and is an
event: hodei events --stream settings shows who changed what.`,
		Args: someArgs("NAME=VALUE"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			name, _, valued := strings.Cut(begun, "=")
			if !valued {
				return settingNames(args, begun, "="), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
			}
			var found []cobra.Completion
			for _, value := range settingValues(name) {
				found = append(found, beginning(begun, name+"="+value)...)
			}
			return found, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			match := ""
			if c.Flags().Changed("if-version") {
				match = etag(version)
			}
			return a.setSettings(c, args, match)
		},
	}
	c.Flags().Uint64Var(&version, "if-version", 0, "only if they are at version `N` still, as settings get -o json says")
	return c
}

func etag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }

// setSettings changes what is named. Without an ETag to match it is that of what it
// shows as the values before.
func (a *app) setSettings(c *cobra.Command, args []string, match string) error {
	wanted := values{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if _, twice := wanted[name]; twice {
			return usage("%s is given twice", name)
		}
		if !ok || name == "" {
			return usage("%q is not NAME=VALUE", arg)
		}
		wanted[name] = value
	}
	cl, err := a.client()
	if err != nil {
		return err
	}
	raw, err := cl.Raw(c.Context(), settingsPath, nil)
	if err != nil {
		return a.newer(c.Context(), cl, settingsPath, err)
	}
	version, before, err := a.readSettings(raw)
	if err != nil {
		return err
	}
	body, err := settingsBody(raw, before, wanted)
	if err != nil {
		return err
	}
	if match == "" {
		match = etag(version)
	}
	if raw, err = cl.Patch(c.Context(), settingsPath, body, match); err != nil {
		return err
	}
	_, after, err := a.readSettings(raw)
	switch {
	case err != nil:
		return err
	case a.output == "json":
		return a.emit(raw)
	}
	for _, name := range sortedKeys(wanted) {
		said := term.Escape(name) + " " + term.Escape(after[name])
		if after[name] == before[name] {
			said += ", as before"
		} else {
			said += ", was " + term.Escape(before[name])
		}
		if _, err := fmt.Fprintln(a.stdout, said); err != nil {
			return err
		}
	}
	return nil
}

// readSettings takes an answer apart. A server of another version may have other
// settings than this program knows.
func (a *app) readSettings(raw json.RawMessage) (version uint64, now values, err error) {
	known, _, err := decode[wire.Settings](a, raw)
	if err != nil {
		return 0, nil, err
	}
	all, _, err := decode[map[string]json.RawMessage](a, raw)
	if err != nil {
		return 0, nil, err
	}
	now = values{}
	for name, value := range *all {
		if name != "version" {
			now[name] = unquoted(value)
		}
	}
	return known.Version, now, nil
}

// unquoted is a JSON value as people write it.
func unquoted(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

// settingsBody is the change in JSON: what the server writes as a number is sent as
// one.
func settingsBody(raw json.RawMessage, now, wanted values) ([]byte, error) {
	var form map[string]any
	if err := json.Unmarshal(raw, &form); err != nil {
		return nil, err
	}
	body := map[string]any{}
	for name, value := range wanted {
		switch _, known := now[name]; {
		case !known:
			return nil, unknownSetting(name, now)
		default:
			body[name] = value
		}
		if _, number := form[name].(float64); !number {
			continue
		}
		if _, err := strconv.ParseUint(value, 10, 63); err != nil {
			return nil, usage("%s is %q; it must be a whole number", name, value)
		}
		body[name] = json.Number(value)
	}
	return json.Marshal(body)
}

func unknownSetting(name string, now values) error {
	e := &exitError{code: exitUsage, err: fmt.Errorf("there is no setting %s; there are %s", name, strings.Join(sortedKeys(now), ", "))}
	if meant := nearest(strings.ReplaceAll(name, "-", "_"), sortedKeys(now)); meant != "" {
		e.err, e.help = errors.New("there is no setting "+name), "did you mean "+meant+"?"
	}
	return e
}

func (a *app) showSettings(now values, names []string) error {
	if len(names) == 0 {
		names = sortedKeys(now)
	}
	t := &table.Table{Columns: []table.Column{{Name: "NAME"}, {Name: "VALUE"}, {Name: "WHAT IT IS", Rank: 1, Cut: true}}}
	for _, name := range names {
		t.Row(table.Text(name), table.Text(now[name]), table.Text(settingsMeaning[name]))
	}
	return t.Write(a.stdout, a.out)
}

// settingNames offers settings that were not named yet.
func settingNames(args []string, begun, after string) (found []cobra.Completion) {
	for _, name := range settings.Names {
		named := slices.ContainsFunc(args, func(arg string) bool { return arg == name || strings.HasPrefix(arg, name+"=") })
		if strings.HasPrefix(name, begun) && !named {
			found = append(found, cobra.CompletionWithDesc(name+after, settingsMeaning[name]))
		}
	}
	return found
}

// settingValues are values of a setting: all, or its default.
func settingValues(name string) []string {
	d := settings.Default()
	last := func(d time.Duration) []string { return []string{spec.Duration(d).String()} }
	switch name {
	case "aging_step":
		return last(d.AgingStep)
	case "kept_finished":
		return []string{strconv.FormatUint(uint64(d.KeptFinished), 10)}
	case "orphan_after":
		return last(d.OrphanAfter)
	case "policy":
		return settings.Policies
	case "reconnect_tolerance":
		return last(d.ReconnectTolerance)
	case "secret_retention":
		return last(d.SecretRetention)
	}
	return nil
}
