package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/wire"
)

// version is set by release builds: -ldflags "-X main.version=0.1.0".
var version = "0.1.0-dev"

// apiVersion is that of the HTTP API, MAJOR.MINOR.
const apiVersion = "1.0"

func (a *app) cmdVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this binary",
		Example: "  hodei version\n  hodei version -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.output == "json" {
				return a.emit(wire.Version{Version: version, API: apiVersion})
			}
			_, err := fmt.Fprintf(a.stdout, "hodei %s%s, API %s, %s %s/%s\n", version, revision(), apiVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// revision is the commit the binary was built from, if the build knew it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 8 {
			return " (" + s.Value[:8] + ")"
		}
	}
	return ""
}
