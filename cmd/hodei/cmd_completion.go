package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) cmdCompletion() *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", Short: "Print what makes a shell complete commands, flags, jobs, …",
		Example: `  hodei completion bash > ~/.local/share/bash-completion/completions/hodei
  hodei completion zsh > ~/.zfunc/_hodei
  hodei completion fish > ~/.config/fish/completions/hodei.fish`,
		Long: `SHELL is bash (with its package bash-completion), zsh (its fpath must have the
folder, before compinit) or fish. For this bash only: source <(hodei completion
bash). Beside commands and flags it completes jobs, workers, secrets, labels,
steps and states, and says nothing where the server does not answer at once.`,
		Args:              oneArg("shell: bash, zsh or fish"),
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{"bash", "zsh", "fish"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			switch root := c.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			}
			return &exitError{code: exitUsage, err: fmt.Errorf("there is no completion for %q", args[0]), help: "it may be bash, zsh or fish"}
		},
	}
}
