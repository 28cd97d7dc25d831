package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/cmd/hodei/bench"
)

// beginning returns the words that begin so and that a shell takes as they are.
func beginning(begun string, all ...string) (found []cobra.Completion) {
	for _, word := range all {
		if strings.HasPrefix(word, begun) && plain(word) {
			found = append(found, cobra.Completion(word))
		}
	}
	return found
}

func prefixed(with string, words []cobra.Completion) []cobra.Completion {
	for i := range words {
		words[i] = with + words[i]
	}
	return words
}

// oneOf completes a flag that takes one of some words.
func oneOf(all ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return beginning(begun, all...), cobra.ShellCompDirectiveNoFileComp
	}
}

// listOf completes the last word of a list; another may follow it.
func listOf(all ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		at := strings.LastIndexByte(begun, ',') + 1
		return prefixed(begun[:at], beginning(begun[at:], all...)), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// flagValues are what flags may be completed to, by command and name, or by name
// alone.
func (a *app) flagValues() map[string]cobra.CompletionFunc {
	here := func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return variables(begun), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	return map[string]cobra.CompletionFunc{
		"color": oneOf("auto", "always", "never"), "output": outputs, "progress": oneOf(progressAuto, progressTTY, progressPlain, progressNone), "namespace": a.completing(a.namespaces),
		"log-level": oneOf("debug", "info", "warn", "error"), "log-format": oneOf("text", "json"),
		"state": listOf(states()...), "sort": oneOf(sortWords...), "worker": a.completing(a.workers), "type": listOf(event.Types()...), "only": listOf(bench.Names()...), "retry-on": listOf(spec.Causes...),
		"cancel-signal": oneOf(spec.Signals...), "shell": oneOf("/bin/sh", "/bin/bash"),
		"ansi": oneOf("keep", "strip"), "logs stream": oneOf("stdout", "stderr"), "events stream": a.completing(a.streams),
		"role": oneOf(roleNames...),
		"step": a.completing(a.stepsOf), "requires": a.completing(a.requirements),
		"env": here, "secret": here, "secret-from": a.completing(a.secretsFor),
	}
}

// completions tells the shell's completion of every command what its words may be.
// It offers names of files only where files are meant.
func (a *app) completions(c *cobra.Command) {
	values := a.flagValues()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		flags := func(f *pflag.Flag) {
			complete, ok := values[c.Name()+" "+f.Name]
			if !ok {
				complete, ok = values[f.Name]
			}
			kind, _ := pflag.UnquoteUsage(f)
			switch {
			case ok:
			case kind == "FOLDER":
				complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
			case kind == "FILE":
				complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
			default:
				complete = cobra.NoFileCompletions
			}
			_ = c.RegisterFlagCompletionFunc(f.Name, complete) // fails for none: the flag is there, once
		}
		c.LocalNonPersistentFlags().VisitAll(flags)
		c.PersistentFlags().VisitAll(flags)
		if c.ValidArgsFunction == nil && c.Name() != "run" {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(c)
}
