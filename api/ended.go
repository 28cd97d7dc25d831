package api

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/api/wire"
)

// addEnding adds what the event that ended a job says of that: exit code, signal,
// the reason as code and as sentence, usage. memory is what the job asked for, in
// bytes, 0 for none; called is what its worker is called.
func addEnding(v *wire.Job, m proto.Message, memory uint64, called string) {
	switch e := m.(type) {
	case *eventv1.JobSucceeded:
		addReport(v, e.GetEnding())
	case *eventv1.JobFailed:
		addReport(v, e.GetEnding())
		v.Reason, v.Summary, v.Explanation = e.GetCause(), failure(e, memory), explanation(e)
	case *eventv1.JobTimedOut:
		addReport(v, e.GetEnding())
		v.Reason, v.Summary = "time_limit", "it ran longer than "+shortDuration(e.GetTimeLimitNs())
		if e.GetTimeLimitNs() == 0 && e.GetStep() > 0 {
			v.Summary = fmt.Sprintf("step %d ran longer than its limit", e.GetStep())
		}
	case *eventv1.JobLost:
		v.Reason, v.Summary = "lost", loss(e, called)
	case *eventv1.JobCancelled:
		addReport(v, e.GetEnding())
		v.Reason, v.Summary = "cancelled", strings.TrimSuffix("cancelled: "+e.GetReason(), ": ")
	}
}

// failure says in one phrase why an attempt failed: in the agent's words, or if
// it has none in those for the cause.
func failure(e *eventv1.JobFailed, memory uint64) string {
	end, text := e.GetEnding(), event.Brief(e.GetDetail())
	switch {
	case e.GetCause() == "out_of_memory" && end.GetUsage() != nil && end.GetUsage().PeakMemoryBytes != nil:
		return "out_of_memory: " + usedUp(end.GetUsage().GetPeakMemoryBytes(), memory)
	case e.GetCause() == "exit" && end.ExitCode != nil:
		text = fmt.Sprintf("exit code %d", end.GetExitCode())
	case e.GetCause() == "signal":
		text = "ended by signal " + end.GetSignal() + ", sender unknown"
	case e.GetCause() == "out_of_memory", text == "":
		text = strings.ReplaceAll(e.GetCause(), "_", " ")
	}
	if e.GetStep() > 1 {
		text += fmt.Sprintf(" in step %d", e.GetStep())
	}
	return text
}

// usedUp is the memory that a job used up: 8.0 of 8 GiB.
func usedUp(peak, memory uint64) string {
	if memory == 0 {
		return resource.Bytes(peak).Shown()
	}
	return resource.Bytes(peak).Of(resource.Bytes(memory))
}

// explanation is what an agent said of a failure beyond that phrase.
func explanation(e *eventv1.JobFailed) string {
	if said := e.GetDetail(); !strings.Contains(failure(e, 0), said) {
		return said
	}
	return ""
}

// loss says in one phrase how a job was lost with its worker.
func loss(e *eventv1.JobLost, called string) string {
	worker := "worker " + called
	if called == "" {
		worker = "worker " + e.GetWorkerId()
	}
	switch e.GetCause() {
	case "unknown_to_worker":
		return worker + " came back and does not know it any more"
	case "worker_terminated":
		return worker + " was ended"
	}
	return worker + " silent for " + shortDuration(e.GetSilentNs())
}

func shortDuration(ns int64) string {
	d := time.Duration(ns)
	if d >= time.Second {
		d = d.Round(time.Second / 10)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = text[:len(text)-2]
	}
	if strings.HasSuffix(text, "h0m") {
		text = text[:len(text)-2]
	}
	return text
}

func addReport(v *wire.Job, e *eventv1.Ending) {
	if e == nil {
		return
	}
	v.ExitCode, v.Signal = e.ExitCode, e.GetSignal()
	v.Forced, v.Killed, v.Escaped = e.GetForced(), e.GetKilled(), e.GetEscaped()
	if u := e.GetUsage(); u != nil {
		v.Usage = usageView(u)
	}
}

func usageView(u *eventv1.Usage) *wire.Usage {
	v := &wire.Usage{PeakMemory: u.PeakMemoryBytes, NetRx: u.NetReceivedBytes, NetTx: u.NetSentBytes, DiskRead: u.DiskReadBytes, DiskWrite: u.DiskWrittenBytes}
	if u.CpuNs != nil {
		seconds := time.Duration(u.GetCpuNs()).Seconds()
		v.CPUSeconds = &seconds
	}
	if u.PeakCpuMilli != nil {
		peak := float64(u.GetPeakCpuMilli()) / 1000
		v.PeakCPU = &peak
	}
	return v
}
