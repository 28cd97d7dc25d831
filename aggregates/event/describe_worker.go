package event

import (
	"encoding/hex"
	"fmt"
	"strings"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

var workerKinds = map[string]kind{
	"WorkerRequested":    of(workerRequested),
	"WorkerLaunched":     of(workerLaunched),
	"WorkerLaunchFailed": of(workerLaunchFailed),
	"WorkerRegistered":   of(workerRegistered),
	"WorkerConnected":    of(workerConnected),
	"WorkerDisconnected": of(workerDisconnected),
	"WorkerSuperseded":   of(workerSuperseded),
	"WorkerCordoned":     of(workerCordoned),
	"WorkerUncordoned":   of(workerUncordoned),
	"WorkerDraining":     of(workerDraining),
	"WorkerLost":         of(workerLost),
	"WorkerTerminated":   of(workerTerminated),
}

func workerRequested(e *eventv1.WorkerRequested) string {
	s := "requested from " + text(e.Provider)
	if e.Pool != "" {
		s += " for pool " + text(e.Pool)
	}
	if e.LaunchLimitNs > 0 {
		s += ", to be up within " + nanoseconds(e.LaunchLimitNs)
	}
	return s
}

func workerLaunched(e *eventv1.WorkerLaunched) string {
	if e.Handle == "" {
		return "launched"
	}
	return "launched as " + text(e.Handle)
}

func workerLaunchFailed(e *eventv1.WorkerLaunchFailed) string {
	return "could not be launched" + because(e.Cause) + because(e.Detail)
}

func workerRegistered(e *eventv1.WorkerRegistered) string {
	return "registered as " + facts(e.Facts) + ", " + key(e.PublicKey)
}

func workerConnected(e *eventv1.WorkerConnected) string {
	s := fmt.Sprintf("connected, session %d", e.Epoch)
	if e.Facts != nil {
		s += ", now " + facts(e.Facts)
	}
	return s
}

func workerDisconnected(e *eventv1.WorkerDisconnected) string {
	return fmt.Sprintf("disconnected, session %d%s", e.Epoch, because(e.Reason))
}

func workerSuperseded(e *eventv1.WorkerSuperseded) string {
	return fmt.Sprintf("session %d superseded by another process with the same key", e.Epoch)
}

func workerCordoned(e *eventv1.WorkerCordoned) string { return "cordoned" + because(e.Reason) }

func workerUncordoned(*eventv1.WorkerUncordoned) string { return "uncordoned" }

func workerDraining(e *eventv1.WorkerDraining) string {
	s := "draining"
	if e.DeadlineNs > 0 {
		s += ", deadline " + nanoseconds(e.DeadlineNs)
	}
	return s + because(e.Reason)
}

func workerLost(e *eventv1.WorkerLost) string {
	return "lost after " + nanoseconds(e.SilentNs) + " without a heartbeat"
}

func workerTerminated(e *eventv1.WorkerTerminated) string { return "terminated" + because(e.Reason) }

// facts is "atlas, linux/amd64, 8 CPU, 15Gi memory, disk=ssd".
func facts(f *eventv1.WorkerFacts) string {
	s := fmt.Sprintf("%s, %s/%s, %s", text(f.GetName()), text(f.GetOs()), text(f.GetArch()), resource.FromEvent(f.GetCapacity()))
	var labels []string
	for _, p := range f.GetLabels() {
		labels = append(labels, p.GetKey()+"="+p.GetValue())
	}
	if labels != nil {
		s += ", " + text(strings.Join(labels, ", "))
	}
	return s
}

// keyShown is how many bytes of a public key suffice to tell it from others.
const keyShown = 4

// key names a public key by its beginning.
func key(public []byte) string {
	return "key " + hex.EncodeToString(public[:min(len(public), keyShown)])
}
