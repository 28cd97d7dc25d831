package main

import (
	"encoding/json"

	"github.com/hodei-jobs/hodei/api/client"
)

func jobsQuery(states ...string) client.JobsQuery {
	return client.JobsQuery{States: states, Limit: 1000}
}

func specs(n int, command string) []json.RawMessage {
	b, err := json.Marshal(map[string]any{"command": command, "resources": map[string]string{"cpu": "100m"}})
	if err != nil {
		panic(err)
	}
	out := make([]json.RawMessage, n)
	for i := range out {
		out[i] = b
	}
	return out
}
