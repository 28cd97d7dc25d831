// Package build names the build a program is of: the version and the commit it was
// made from. Server and agent are told apart by it, in the log, in lists and in
// reports of faults. All functions are safe for concurrent use.
package build

import (
	"regexp"
	"runtime/debug"
	"strings"
)

// unreleased is the version of what is not a release.
const unreleased = "0.1.0-dev"

// commitShown is how many characters of a commit are shown.
const commitShown = 8

// stamp is set by release builds:
// -ldflags "-X github.com/hodei-jobs/hodei/agentproto/build.stamp=0.1.0".
var stamp string

// pseudo is a version that the go command makes up of a commit.
var pseudo = regexp.MustCompile(`\d{14}-[0-9a-f]{12}`)

// Version returns the version, such as 0.1.0: the stamp of a release build, or that
// of the module if it was built as one.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return versionOf(stamp, info)
}

func versionOf(stamp string, info *debug.BuildInfo) string {
	module := info.Main.Version
	switch {
	case stamp != "":
		return stamp
	case !strings.HasPrefix(module, "v"), strings.Contains(module, "+"), pseudo.MatchString(module):
		return unreleased
	}
	return strings.TrimPrefix(module, "v")
}

// Commit returns the beginning of the commit it was built from, with a + if files
// had been changed since; "" if the build did not know it.
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return commitOf(info)
}

func commitOf(info *debug.BuildInfo) string {
	commit, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(len(s.Value), commitShown)]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + changed
}

// Name returns version and commit as people read them: 0.1.0 (1a2b3c4d).
func Name() string {
	if c := Commit(); c != "" {
		return Version() + " (" + c + ")"
	}
	return Version()
}
