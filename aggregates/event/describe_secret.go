package event

import (
	"fmt"
	"strings"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

var secretKinds = map[string]kind{
	"SecretSet":          of(secretSet),
	"SecretDeleted":      of(secretDeleted),
	"SecretRead":         of(secretRead),
	"JobSecretsShredded": of(jobSecretsShredded),
}

func secretSet(e *eventv1.SecretSet) string { return fmt.Sprintf("set, version %d", e.Version) }

func secretDeleted(*eventv1.SecretDeleted) string { return "deleted with all its versions" }

// maxSecretsNamed is how many of the secrets that a worker was given are named.
const maxSecretsNamed = 3

func secretRead(e *eventv1.SecretRead) string {
	var named []string
	for i, u := range e.Secrets {
		if i == maxSecretsNamed {
			named = append(named, fmt.Sprintf("%d more", len(e.Secrets)-i))
			break
		}
		named = append(named, fmt.Sprintf("%s version %d as %s", text(u.Name), u.Version, text(u.Variable)))
	}
	return fmt.Sprintf("given to %s for attempt %d: secret %s", text(e.WorkerId), e.Attempt, strings.Join(named, ", "))
}

func jobSecretsShredded(*eventv1.JobSecretsShredded) string {
	return "its own secrets can't be read any more, their key was dropped"
}
