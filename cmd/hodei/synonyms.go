package main

import "github.com/spf13/cobra"

// synonyms are words for commands that people bring from elsewhere. They are no
// commands here: one thing has one name. An error names that.
var synonyms = map[string][]string{
	"hodei": {
		"ps", "job list", "ls", "job list", "list", "job list", "state", "status", "info", "status", "overview", "status", "top", "status",
		"cancel", "job cancel", "kill", "job cancel", "stop", "job cancel", "abort", "job cancel",
		"get", "job get", "show", "job get", "describe", "job get", "inspect", "job get", "wait", "job wait",
		"rerun", "job rerun", "retry", "job rerun", "restart", "job rerun", "submit", "run --detach", "create", "run --detach", "exec", "run", "start", "run", "attach", "logs -f", "tail", "logs -f",
		"log", "logs", "output", "logs", "nodes", "worker list", "agents", "worker list", "agent", "worker", "history", "events", "up", "dev", "check", "doctor", "health", "doctor", "diagnose", "doctor", "ui", "open", "dashboard", "open", "web", "open",
		"signin", "login", "sign-in", "login", "auth", "login", "signout", "logout", "sign-out", "logout",
	},
	"hodei job": {
		"ls", "list", "ps", "list", "show", "get", "describe", "get", "inspect", "get", "status", "get",
		"retry", "rerun", "restart", "rerun", "kill", "cancel", "stop", "cancel", "delete", "cancel", "rm", "cancel", "abort", "cancel", "history", "events",
	},
	"hodei worker":    {"stop", "drain", "remove", "drain", "delete", "drain", "rm", "drain", "disable", "cordon", "pause", "cordon", "enable", "uncordon", "resume", "uncordon", "ls", "list", "show", "get", "describe", "get", "status", "get", "add", "token", "create", "token", "register", "token"},
	"hodei token":     {"ls", "list", "get", "list", "new", "create", "add", "create", "make", "create", "rm", "revoke", "delete", "revoke", "remove", "revoke", "end", "revoke"},
	"hodei namespace": {"ls", "list", "show", "get", "describe", "get", "new", "create", "add", "create", "make", "create", "stop", "pause", "start", "resume", "unpause", "resume"},
	"hodei secret":    {"ls", "list", "get", "list", "create", "set", "add", "set", "update", "set", "put", "set", "rm", "delete", "remove", "delete"},
}

// meantCommand is the command below c that a word was most likely meant to be, or
// "".
func meantCommand(c *cobra.Command, word string) string {
	list := synonyms[c.CommandPath()]
	for i := 0; i < len(list); i += 2 {
		if list[i] == word {
			return list[i+1]
		}
	}
	return nearest(word, namesBelow(c))
}
