package build

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	for _, row := range []struct{ name, stamp, module, want string }{
		{"a release", "1.2.3", "v0.0.0-20260309104207-1a2b3c4d5e6f", "1.2.3"},
		{"a module at a version", "", "v1.2.3", "1.2.3"},
		{"a checkout", "", "v0.0.0-20260309104207-1a2b3c4d5e6f", unreleased},
		{"a checkout after a release", "", "v1.2.4-0.20260309104207-1a2b3c4d5e6f", unreleased},
		{"a checkout that was changed", "", "v1.2.3+dirty", unreleased},
		{"go run", "", "(devel)", unreleased},
		{"a program that knows nothing of itself", "", "", unreleased},
	} {
		if got := versionOf(row.stamp, &debug.BuildInfo{Main: debug.Module{Version: row.module}}); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func TestCommit(t *testing.T) {
	of := func(settings ...debug.BuildSetting) string { return commitOf(&debug.BuildInfo{Settings: settings}) }
	revision, modified := debug.BuildSetting{Key: "vcs.revision", Value: "1a2b3c4d5e6f"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	if got := of(modified, revision); got != "1a2b3c4d+" {
		t.Errorf("changed: %s", got)
	}
	if got := of(revision); got != "1a2b3c4d" {
		t.Errorf("as it was: %s", got)
	}
	if got := of(modified); got != "" {
		t.Errorf("unknown: %s", got)
	}
	if !strings.HasPrefix(Name(), Version()) {
		t.Errorf("%s is not of %s", Name(), Version())
	}
}
