package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// besideWidth is how wide a terminal must be for two columns, in characters.
const besideWidth = 100

// stepName is how wide the names of steps are at least.
const stepName = 16

// showJob writes all there is to know about a job: what it asked for and what
// was measured at the left, what happened when at the right, how attempts ended
// that were tried again, then its steps.
func (a *app) showJob(j *wire.Job, events []wire.Event, earlier []string) error {
	var b strings.Builder
	state := strings.ReplaceAll(j.State, "_", " ")
	if j.Cancelling {
		state += ", being cancelled"
	}
	if j.Waits {
		state += ", waiting for keyboard input"
	}
	how := ending(j)
	if j.State == "pending" {
		how = waitsFor(j)
	}
	fmt.Fprintf(&b, "%s %s   %s\n", a.out.Of(j.State, a.out.Glyph(j.State)+" "+j.ID), term.Escape(j.Name), term.Escape(strings.TrimSuffix(state+": "+how, ": ")))
	if j.Explanation != "" {
		fmt.Fprintf(&b, "  %s\n", term.Escape(j.Explanation))
	}
	if j.Help != "" {
		fmt.Fprintf(&b, "  help: %s\n", term.Escape(j.Help))
	}
	a.columns(&b, a.jobFacts(j), a.jobMoments(j, events))
	for _, line := range earlier {
		fmt.Fprintf(&b, "  %s\n", term.Escape(line))
	}
	width := stepName
	for i := range j.Steps {
		width = max(width, term.Width(term.Escape(j.Steps[i].Name)))
	}
	for _, step := range j.Steps {
		if j.Terminal() && step.State == "running" { // nobody said how it ended
			step.State = j.State
		}
		a.showStep(&b, &step, width)
	}
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}

// fact is a word and what there is to say about it.
type fact struct{ word, text string }

func (f fact) String() string { return fmt.Sprintf("%-10s %s", f.word, f.text) }

// jobFacts are what a job asked for and what was measured of it.
func (a *app) jobFacts(j *wire.Job) []fact {
	var spec struct {
		Command   string
		Argv      []string
		Resources struct{ CPU, Memory, Disk string }
		Requires  map[string]string
		Labels    map[string]string
		Timeout   string
		Retries   struct {
			Max int
			On  []string
		}
	}
	_ = json.Unmarshal(j.Spec, &spec) // a spec of a later version shows what is known
	need := needs(spec.Resources.CPU, spec.Resources.Memory, spec.Resources.Disk, spec.Requires)
	if j.Priority != 0 {
		need += fmt.Sprintf(", prio %d", j.Priority)
	}
	facts := []fact{{"needs", term.Escape(first(need, "nothing"))}}
	for _, f := range []fact{
		{"rerun of", j.RerunOf}, {"runs", oneLine(first(spec.Command, strings.Join(spec.Argv, " ")))}, {"labels", strings.Join(pairs(spec.Labels), " ")}, {"timeout", spec.Timeout},
		{"retries", retries(spec.Retries.Max, spec.Retries.On)},
	} {
		if f.text != "" {
			facts = append(facts, fact{f.word, term.Escape(f.text)})
		}
	}
	if j.Started != nil {
		facts = append(facts, fact{"waited", took(j.Started.Sub(j.Submitted))})
	}
	if text := force(j); text != "" {
		facts = append(facts, fact{"by force", text})
	}
	if u := usedOf(j.Usage, memoryOf(j)); u != "" {
		facts = append(facts, fact{"peak", u})
	}
	return facts
}

// force says what of a job did not end by itself.
func force(j *wire.Job) string {
	var parts []string
	if j.Forced {
		parts = append(parts, "killed when its grace had passed")
	}
	switch {
	case j.Killed == 1:
		parts = append(parts, "1 process it left")
	case j.Killed > 1:
		parts = append(parts, fmt.Sprintf("%d processes it left", j.Killed))
	}
	if j.Escaped {
		parts = append(parts, "some could not be killed")
	}
	return strings.Join(parts, ", ")
}

// runsShown is how much of a command is shown, in characters.
const runsShown = 60

// oneLine is a command's first line, as much as is shown of it.
func oneLine(command string) string {
	line, rest, _ := strings.Cut(strings.TrimSpace(command), "\n")
	if rest != "" {
		line += " …"
	}
	return term.Cut(line, runsShown)
}

// retries says how often and after what a job is tried again.
func retries(most int, on []string) string {
	if most == 0 {
		return ""
	}
	return strings.TrimSuffix(fmt.Sprintf("%d after %s", most, strings.Join(on, ", ")), " after ")
}

// jobMoments are when what happened, with the positions that prove it.
func (a *app) jobMoments(j *wire.Job, events []wire.Event) []fact {
	submitted := a.clock(j.Submitted)
	if len(events) > 0 && events[0].Actor != "" {
		submitted += " by " + term.Escape(events[0].Actor) + ","
	}
	moments := []fact{{"submitted", submitted + " in " + term.Escape(j.Namespace)}}
	proofs := []uint64{j.Position}
	if j.Started != nil {
		text := a.clock(*j.Started) + " on " + term.Escape(first(j.WorkerName, j.Worker))
		if j.Attempt > 1 {
			text += fmt.Sprintf(", attempt %d", j.Attempt)
		}
		moments, proofs = append(moments, fact{"started", text}), append(proofs, positionAt(events, *j.Started))
	}
	if j.Finished != nil {
		text := a.clock(*j.Finished)
		if d, ok := a.ranFor(j); ok {
			text += " after " + took(d)
		}
		moments, proofs = append(moments, fact{"finished", text}), append(proofs, positionAt(events, *j.Finished))
	}
	width := 0
	for _, m := range moments {
		width = max(width, term.Width(m.text))
	}
	for i := range moments {
		if proofs[i] > 0 {
			moments[i].text += strings.Repeat(" ", width-term.Width(moments[i].text)) + fmt.Sprintf("   #%d", proofs[i])
		}
	}
	return moments
}

// positionAt is the position of the last event recorded at that time, or 0.
func positionAt(events []wire.Event, at time.Time) uint64 {
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Time.Equal(at) {
			return events[i].Position
		}
	}
	return 0
}

// columns writes facts side by side where there is room, else one below the other.
func (a *app) columns(b *strings.Builder, left, right []fact) {
	if a.out.Width > 0 && a.out.Width < besideWidth {
		for _, f := range append(left, right...) {
			fmt.Fprintln(b, f)
		}
		return
	}
	width := 0
	for _, f := range left {
		width = max(width, term.Width(f.String()))
	}
	for i := range max(len(left), len(right)) {
		l, r := "", ""
		if i < len(left) {
			l = left[i].String()
		}
		if i < len(right) {
			r = right[i].String()
		}
		fmt.Fprintln(b, strings.TrimRight(l+strings.Repeat(" ", width-term.Width(l)+3)+r, " "))
	}
}

func (a *app) showStep(b *strings.Builder, s *wire.Step, width int) {
	name := term.Escape(s.Name)
	line := fmt.Sprintf("%3d %s%s %s", s.Step, name, strings.Repeat(" ", width-term.Width(name)), a.out.State(s.State))
	if s.Seconds > 0 {
		line += strings.Repeat(" ", max(len("cancelled")-len(s.State), 0)) + fmt.Sprintf("  %6s", took(time.Duration(s.Seconds*float64(time.Second))))
	}
	switch {
	case s.Signal != "":
		line += "   signal " + term.Escape(s.Signal)
	case s.ExitCode != nil && *s.ExitCode != 0:
		line += fmt.Sprintf("   exit %d", *s.ExitCode)
	}
	fmt.Fprintln(b, line)
}
