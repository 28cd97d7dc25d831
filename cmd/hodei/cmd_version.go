package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/agentproto/build"
	"github.com/hodei-jobs/hodei/api/wire"
)

// version is that of this program.
var version = build.Version()

// apiVersion is that of the HTTP API, MAJOR.MINOR.
const apiVersion = "1.0"

// versionShown is what there is to say of a build.
type versionShown struct {
	wire.Version
	Commit string `json:"commit,omitempty"`
	Go     string `json:"go"`
	System string `json:"system"`
}

func (a *app) cmdVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this binary",
		Example: `  hodei version
  hodei version -o json`,
		Long: `hodei --version and hodei -v show the same line. Versions of agents are shown by
hodei worker get.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.programs() {
				return a.emit(versionShown{wire.Version{Version: version, API: apiVersion}, build.Commit(), runtime.Version(), platform})
			}
			_, err := fmt.Fprintln(a.stdout, versionLine())
			return err
		},
	}
}

func versionLine() string {
	return fmt.Sprintf("hodei %s, API %s, %s %s", build.Name(), apiVersion, runtime.Version(), platform)
}

// platform is what this program was built for.
const platform = runtime.GOOS + "/" + runtime.GOARCH
