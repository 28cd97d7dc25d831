package event

import (
	"fmt"
	"strings"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

var serverKinds = map[string]kind{
	"SettingsChanged": of(settingsChanged),
	"ServerJoined":    of(serverJoined),
	"ClockStepped":    of(clockStepped),
}

func settingsChanged(e *eventv1.SettingsChanged) string {
	var set []string
	if e.KeptFinished != nil {
		set = append(set, fmt.Sprintf("kept_finished %d", *e.KeptFinished))
	}
	if e.AgingStepNs != nil {
		set = append(set, "aging_step "+nanoseconds(*e.AgingStepNs))
	}
	if e.Policy != nil {
		set = append(set, "policy "+text(*e.Policy))
	}
	if e.ReconnectToleranceNs != nil {
		set = append(set, "reconnect_tolerance "+nanoseconds(*e.ReconnectToleranceNs))
	}
	if e.OrphanAfterNs != nil {
		set = append(set, "orphan_after "+nanoseconds(*e.OrphanAfterNs))
	}
	if e.SecretRetentionNs != nil {
		set = append(set, "secret_retention "+nanoseconds(*e.SecretRetentionNs))
	}
	if set == nil {
		return "changed nothing"
	}
	return "changed " + strings.Join(set, ", ")
}

func serverJoined(e *eventv1.ServerJoined) string {
	return fmt.Sprintf("server joined, version %s on the %s store", text(e.Version), text(e.Store))
}

func clockStepped(e *eventv1.ClockStepped) string {
	if e.StepNs < 0 {
		return "the clock was set back by " + nanoseconds(-e.StepNs)
	}
	return "the clock was set forward by " + nanoseconds(e.StepNs)
}
