package event

import (
	"fmt"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

var accessKinds = map[string]kind{
	"TokenCreated":       of(tokenCreated),
	"TokenRevoked":       of(tokenRevoked),
	"WorkerTokenUsed":    of(workerTokenUsed),
	"WorkerTokenRefused": of(workerTokenRefused),
	"NamespaceCreated":   of(namespaceCreated),
	"NamespacePaused":    of(namespacePaused),
	"NamespaceResumed":   of(namespaceResumed),
}

func tokenCreated(e *eventv1.TokenCreated) string {
	where := "in " + text(e.Namespace)
	if e.Namespace == "*" {
		where = "in all namespaces"
	}
	s := fmt.Sprintf("created as %s, %s %s, ends in %s", text(e.Name), text(e.Role), where, text(e.Hint))
	if e.LifetimeNs > 0 {
		s += ", lives for " + nanoseconds(e.LifetimeNs)
	}
	return s
}

func tokenRevoked(e *eventv1.TokenRevoked) string { return "revoked" + because(e.Reason) }

func workerTokenUsed(e *eventv1.WorkerTokenUsed) string {
	return fmt.Sprintf("used by worker %s, %s", text(e.WorkerId), key(e.PublicKey))
}

func workerTokenRefused(e *eventv1.WorkerTokenRefused) string {
	return "refused to " + key(e.PublicKey) + because(e.Reason)
}

func namespaceCreated(e *eventv1.NamespaceCreated) string { return "created" + because(e.Description) }

func namespacePaused(e *eventv1.NamespacePaused) string { return "paused" + because(e.Reason) }

func namespaceResumed(*eventv1.NamespaceResumed) string { return "resumed" }
