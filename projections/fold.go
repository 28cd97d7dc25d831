package projections

import (
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore"
)

// fold takes one record into a World. Unless it answers Applied it has changed
// nothing: it checks first and changes then.
type fold func(*World, *eventstore.Record) Verdict

// foldOf returns how a type changes a World, nil if it doesn't.
func foldOf(typ string) fold {
	switch typ {
	case "JobSubmitted":
		return (*World).jobSubmitted
	case "JobBound":
		return (*World).jobBound
	case "JobStarted":
		return (*World).jobStarted
	case "JobSucceeded":
		return (*World).jobSucceeded
	case "JobFailed":
		return (*World).jobFailed
	case "JobCancelRequested":
		return (*World).jobCancelRequested
	case "JobCancelled":
		return (*World).jobCancelled
	case "JobTimedOut":
		return (*World).jobTimedOut
	case "JobLost":
		return (*World).jobLost
	case "JobRetryScheduled":
		return (*World).jobRetryScheduled
	case "JobRequeued":
		return (*World).jobRequeued
	case "WorkerRequested", "WorkerLaunched", "WorkerLaunchFailed", "WorkerRegistered",
		"WorkerConnected", "WorkerDisconnected", "WorkerCordoned", "WorkerUncordoned",
		"WorkerDraining", "WorkerLost", "WorkerTerminated":
		return (*World).workerChanged
	case "TokenCreated":
		return (*World).tokenCreated
	case "TokenRevoked":
		return (*World).tokenRevoked
	case "NamespaceCreated", "NamespacePaused", "NamespaceResumed":
		return (*World).namespaceChanged
	case "SecretSet", "SecretDeleted":
		return (*World).secretChanged
	case "JobSecretsShredded":
		return (*World).jobSecretsShredded
	case "SettingsChanged":
		return (*World).settingsChanged
	}
	return nil
}

func jobOf(s eventstore.StreamID) (id.ID, bool)    { return idIn(s, event.KindJob+"-") }
func workerOf(s eventstore.StreamID) (id.ID, bool) { return idIn(s, event.KindWorker+"-") }
func tokenOf(s eventstore.StreamID) (id.ID, bool)  { return idIn(s, event.KindToken+"-") }

func idIn(s eventstore.StreamID, prefix string) (id.ID, bool) {
	text, ok := strings.CutPrefix(string(s), prefix)
	if !ok {
		return 0, false
	}
	i, err := id.Parse(text)
	return i, err == nil
}
