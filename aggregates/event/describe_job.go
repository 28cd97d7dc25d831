package event

import (
	"fmt"
	"strings"
	"time"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

var jobKinds = map[string]kind{
	"JobSubmitted":       of(jobSubmitted),
	"JobBound":           of(jobBound),
	"JobStarted":         of(jobStarted),
	"StepStarted":        of(stepStarted),
	"StepFinished":       of(stepFinished),
	"JobSucceeded":       of(jobSucceeded),
	"JobFailed":          of(jobFailed),
	"JobCancelRequested": of(jobCancelRequested),
	"JobCancelled":       of(jobCancelled),
	"JobTimedOut":        of(jobTimedOut),
	"JobLost":            of(jobLost),
	"JobRetryScheduled":  of(jobRetryScheduled),
	"JobRequeued":        of(jobRequeued),
	"ResultRefused":      of(resultRefused),
	"JobLogSealed":       of(jobLogSealed),
	"KeyUsed":            of(keyUsed),
}

func jobSubmitted(e *eventv1.JobSubmitted) string {
	var b strings.Builder
	fmt.Fprintf(&b, "submitted to %s as %s", text(e.Namespace), text(e.Name))
	if e.Pool != "" {
		fmt.Fprintf(&b, " for pool %s", text(e.Pool))
	}
	fmt.Fprintf(&b, ", needs %s", resource.FromEvent(e.Resources))
	for _, p := range e.Requires {
		fmt.Fprintf(&b, ", %s=%s", text(p.Key), text(p.Value))
	}
	if e.Priority != 0 {
		fmt.Fprintf(&b, ", priority %d", e.Priority)
	}
	if e.Exclusive {
		b.WriteString(", exclusive")
	}
	if e.RerunOf != "" {
		fmt.Fprintf(&b, "; %s again", text(e.RerunOf))
	}
	return b.String()
}

// jobBound names the worker and, of what else was looked at, why not.
func jobBound(e *eventv1.JobBound) string {
	s := fmt.Sprintf("bound to %s as attempt %d", text(e.WorkerId), e.Attempt)
	var others []string
	for _, r := range e.GetDecision().GetRefused() {
		others = append(others, refusal(r))
	}
	if others == nil {
		return s
	}
	return s + "; " + strings.Join(others, "; ")
}

// refusal is "w2 has 1 CPU free, needs 2" where one worker was refused and it is
// known what it lacks, else "2 busy".
func refusal(r *eventv1.Refusal) string {
	if r.WorkerId == "" || r.Count != 1 {
		return fmt.Sprintf("%d %s", r.Count, text(r.Reason))
	}
	have, need := r.Have, r.Need
	switch r.Lacks {
	case resource.DimensionCPU:
		return fmt.Sprintf("%s has %s CPU free, needs %s", text(r.WorkerId), resource.CPU(have), resource.CPU(need))
	case resource.DimensionMemory, resource.DimensionDisk:
		return fmt.Sprintf("%s has %s %s free, needs %s", text(r.WorkerId), resource.Bytes(have).Shown(), r.Lacks, resource.Bytes(need).Shown())
	case "":
		return fmt.Sprintf("%s is %s", text(r.WorkerId), text(r.Reason))
	}
	return fmt.Sprintf("%s lacks %s", text(r.WorkerId), text(r.Lacks))
}

func jobStarted(e *eventv1.JobStarted) string {
	return fmt.Sprintf("started%s, attempt %d", on(e.WorkerId), e.Attempt)
}

func stepStarted(e *eventv1.StepStarted) string {
	return fmt.Sprintf("step %d started%s", e.Step, because(e.Name))
}

func stepFinished(e *eventv1.StepFinished) string {
	return fmt.Sprintf("step %d %s%s%s%s", e.Step, text(e.State), exit(e.ExitCode, e.Signal), after(e.TookNs), because(e.Name))
}

func jobSucceeded(e *eventv1.JobSucceeded) string {
	return "succeeded" + ending(e.Ending) + on(e.WorkerId) + force(e.Ending)
}

func jobFailed(e *eventv1.JobFailed) string {
	s := "failed"
	if e.Step > 1 { // the first is all there is of most jobs
		s += fmt.Sprintf(" in step %d", e.Step)
	}
	why := Brief(e.Detail)
	switch {
	case e.Cause == "signal" && strings.HasPrefix(why, "ended by signal"): // as the ending says
		why = ""
	case e.Cause == "out_of_memory", why == "" && e.Cause != "exit" && e.Cause != "signal":
		why = words(e.Cause)
	}
	return s + ending(e.Ending) + on(e.WorkerId) + because(why) + force(e.Ending) + again(e.Retried)
}

// words is a code as people read it: backoff over.
func words(code string) string { return strings.ReplaceAll(text(code), "_", " ") }

// Brief returns why an attempt failed without the PATH in which a program was
// looked for.
func Brief(detail string) string {
	const nowhere = "not found in PATH"
	if before, _, ok := strings.Cut(detail, nowhere+" ("); ok {
		return before + nowhere
	}
	return detail
}

func jobCancelRequested(e *eventv1.JobCancelRequested) string {
	return "cancel requested" + because(e.Reason)
}

func jobCancelled(e *eventv1.JobCancelled) string {
	if e.WorkerId == "" {
		return "cancelled before it ran" + because(e.Reason)
	}
	return "cancelled" + ending(e.Ending) + on(e.WorkerId) + because(e.Reason) + force(e.Ending)
}

func jobTimedOut(e *eventv1.JobTimedOut) string {
	if e.TimeLimitNs == 0 && e.Step > 0 {
		return fmt.Sprintf("timed out at the limit of step %d%s%s%s", e.Step, on(e.WorkerId), force(e.Ending), again(e.Retried))
	}
	return fmt.Sprintf("timed out at its limit of %s%s%s%s", nanoseconds(e.TimeLimitNs), on(e.WorkerId), force(e.Ending), again(e.Retried))
}

func jobLost(e *eventv1.JobLost) string {
	s := fmt.Sprintf("attempt %d lost with %s: %s", e.Attempt, text(e.WorkerId), words(e.Cause))
	if e.SilentNs > 0 {
		s += ", silent for " + nanoseconds(e.SilentNs)
	}
	return s + again(e.Retried)
}

func jobRetryScheduled(e *eventv1.JobRetryScheduled) string {
	when := "at once"
	if e.DelayNs > 0 {
		when = "in " + nanoseconds(e.DelayNs)
	}
	return fmt.Sprintf("retry %d of %d %s as attempt %d", e.Retry, e.Max, when, e.Attempt)
}

func jobRequeued(e *eventv1.JobRequeued) string {
	return fmt.Sprintf("waits for a worker again as attempt %d: %s%s", e.Attempt, words(e.Cause), because(e.Detail))
}

func resultRefused(e *eventv1.ResultRefused) string {
	s := fmt.Sprintf("result of attempt %d refused: %s", e.Attempt, text(e.Cause))
	if e.Current != e.Attempt {
		s += fmt.Sprintf(", attempt %d is current", e.Current)
	}
	return fmt.Sprintf("%s; %s had reported %s", s, text(e.WorkerId), text(e.Outcome))
}

func jobLogSealed(e *eventv1.JobLogSealed) string {
	return fmt.Sprintf("log of attempt %d sealed: %s, sha256 %x…", e.Attempt, resource.Bytes(e.Size).Shown(), e.Digest[:min(len(e.Digest), digestShown)])
}

// digestShown is how many bytes of a digest suffice to tell it from others.
const digestShown = 6

func keyUsed(e *eventv1.KeyUsed) string {
	switch len(e.JobIds) {
	case 1:
		return "key used for job " + text(e.JobIds[0])
	default:
		return "key used for " + count(len(e.JobIds), "job")
	}
}

// ending is how and after how long an attempt ended; nothing if nothing is known.
func ending(e *eventv1.Ending) string {
	if e == nil {
		return ""
	}
	return exit(e.ExitCode, e.Signal) + after(e.TookNs)
}

// force is what of an attempt did not end by itself.
func force(e *eventv1.Ending) string {
	if e == nil {
		return ""
	}
	s := ""
	if e.Forced {
		s += "; it was killed when its grace had passed"
	}
	switch {
	case e.Killed == 1:
		s += "; 1 process it left was killed"
	case e.Killed > 1:
		s += fmt.Sprintf("; %d processes it left were killed", e.Killed)
	}
	if e.Escaped {
		s += "; some it left could not be killed"
	}
	return s
}

func exit(code *int32, signal string) string {
	switch {
	case signal != "":
		return " with signal " + text(signal)
	case code != nil:
		return fmt.Sprintf(" with exit code %d", *code)
	}
	return ""
}

func after(ns int64) string {
	if ns <= 0 {
		return ""
	}
	return " after " + nanoseconds(max(ns, int64(time.Millisecond))) // nothing takes no time
}

func on(worker string) string {
	if worker == "" {
		return ""
	}
	return " on " + text(worker)
}

func again(retried bool) string {
	if retried {
		return "; will be tried again"
	}
	return ""
}
