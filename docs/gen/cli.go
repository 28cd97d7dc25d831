package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const cliIntro = `# The command line

What each command says of itself with --help. Flags of all commands stand at the first.

`

// leftOut are commands that cobra brings along and describes itself.
var leftOut = map[string]bool{"help": true}

var (
	commandLine = regexp.MustCompile(`^  (\w[\w-]*) +\S`)
	globalFlags = regexp.MustCompile(`(?s)\nGlobal Flags:\n.*?(\n\n|$)`)
	hint        = regexp.MustCompile(`\nUse "hodei [^\n]*\n`)
)

// commandLineReference builds hodei and asks every command for its help.
func commandLineReference(ctx context.Context, root string) (string, error) {
	dir, err := os.MkdirTemp("", "hodei-docs-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "hodei"), "./cmd/hodei")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build hodei: %w\n%s", err, output)
	}

	var page strings.Builder
	page.WriteString(notice + cliIntro)
	if err := writeCommand(ctx, &page, filepath.Join(dir, "hodei"), nil); err != nil {
		return "", err
	}
	return strings.TrimRight(page.String(), "\n") + "\n", nil
}

// writeCommand adds the section of a command and those of the ones below it.
func writeCommand(ctx context.Context, page *strings.Builder, binary string, words []string) error {
	help := exec.CommandContext(ctx, binary, append(words, "--help")...)
	help.Env = []string{"HOME=/home/you", "NO_COLOR=1", "LC_ALL=C.UTF-8"} // what it says must not depend on who asks
	var stderr bytes.Buffer
	help.Stderr = &stderr
	output, err := help.Output()
	if err != nil {
		return fmt.Errorf("cannot ask hodei %s for its help: %w: %s", strings.Join(words, " "), err, stderr.String())
	}
	text := hint.ReplaceAllString(globalFlags.ReplaceAllString(string(output), "\n"), "\n")
	fmt.Fprintf(page, "## %s\n\n```\n%s\n```\n\n", strings.Join(append([]string{"hodei"}, words...), " "), strings.TrimSpace(text))
	for _, name := range below(text) {
		if err := writeCommand(ctx, page, binary, append(words[:len(words):len(words)], name)); err != nil {
			return err
		}
	}
	return nil
}

// below are the names of the commands that a help text lists.
func below(help string) []string {
	_, list, found := strings.Cut(help, " COMMAND --help:\n")
	if !found {
		return nil
	}
	var names []string
	for _, line := range strings.Split(list, "\n") {
		m := commandLine.FindStringSubmatch(line)
		if m == nil {
			break
		}
		if !leftOut[m[1]] {
			names = append(names, m[1])
		}
	}
	return names
}
