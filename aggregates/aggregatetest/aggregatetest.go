// Package aggregatetest proves aggregates. A row of a table reads as a sentence,
//
//	{"a bound job that is bound elsewhere",
//		Given(submitted, bound(1, "w1")), When(Bind{Attempt: 2, Worker: "w2"}),
//		Refused("cannot bind job: it is bound")},
//
// and on every row the laws are checked as well: a decision is deterministic and
// changes nothing, it is idempotent, Evolve takes every type of event, and events
// keep their meaning in bytes and describe themselves.
package aggregatetest

import (
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
)

// Aggregate is what is proved: S its state, C its commands.
type Aggregate[S, C any] struct {
	Evolve func(S, proto.Message) S
	Decide func(S, C) ([]proto.Message, error)
}

// Row is one sentence: given what has happened, when this is asked, then that. A
// test defines a type of its own from it, so that rows are written without the
// fields' names:
//
//	type row aggregatetest.Row[job.Command]
type Row[C any] struct {
	Name  string
	Given []proto.Message
	When  C
	Then  Outcome
}

// rows are types that are defined from Row.
type rows[C any] interface {
	~struct {
		Name  string
		Given []proto.Message
		When  C
		Then  Outcome
	}
}

// Outcome is what a decision must yield.
type Outcome struct {
	events  []proto.Message
	refused string
}

// Given is what has happened.
func Given(events ...proto.Message) []proto.Message { return events }

// Then expects exactly these events.
func Then(events ...proto.Message) Outcome { return Outcome{events: events} }

// Nothing expects that what is asked for is so already.
func Nothing() Outcome { return Outcome{} }

// Refused expects an error with this text.
func Refused(text string) Outcome { return Outcome{refused: text} }

// Run checks each row and the laws on it.
func Run[S, C any, R rows[C]](t *testing.T, a Aggregate[S, C], table []R) {
	t.Helper()
	for _, r := range table {
		r := Row[C](r)
		t.Run(r.Name, func(t *testing.T) {
			state := a.Fold(r.Given...)
			got, err := a.Decide(state, r.When)
			switch {
			case err != nil && err.Error() != r.Then.refused:
				t.Fatalf("refused: %v\nwant:    %s", err, r.Then)
			case err == nil && r.Then.refused != "", err == nil && !equal(got, r.Then.events):
				t.Fatalf("got:  %s\nwant: %s", show(got), r.Then)
			}
			a.Laws(t, state, r.When)
		})
	}
}

// Fold returns the state after these events.
func (a Aggregate[S, C]) Fold(events ...proto.Message) S {
	var s S
	return a.FoldOn(s, events...)
}

// FoldOn returns the state after these events on another.
func (a Aggregate[S, C]) FoldOn(s S, events ...proto.Message) S {
	for _, m := range events {
		s = a.Evolve(s, m)
	}
	return s
}

// TB is what Laws reports to: a test, or one run of a property.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Laws checks what holds for every command in every state.
func (a Aggregate[S, C]) Laws(t TB, state S, command C) {
	t.Helper()
	first, err := a.Decide(state, command)
	again, errAgain := a.Decide(state, command)
	if !equal(first, again) || text(err) != text(errAgain) {
		t.Fatalf("not deterministic: %s %v, then %s %v", show(first), err, show(again), errAgain)
	}
	if err != nil && first != nil {
		t.Fatalf("both events and an error: %s, %v", show(first), err)
	}
	after := a.FoldOn(state, first...)
	repeated, errRepeated := a.Decide(after, command)
	if len(repeated) > 0 {
		t.Fatalf("not idempotent: %s, and when repeated %s", show(first), show(repeated))
	}
	if err != nil && text(err) != text(errRepeated) {
		t.Fatalf("another refusal when repeated: %v, then %v", err, errRepeated)
	}
	if third, _ := a.Decide(state, command); !equal(first, third) {
		t.Fatalf("evolving changed the state it came from: %s, then %s", show(first), show(third))
	}
	for _, m := range first {
		EventLaws(t, m)
	}
	a.total(state)
}

// total evolves the state by every type of event, empty and full: it must not
// panic, whatever was read from a log.
func (a Aggregate[S, C]) total(state S) {
	for i := range empty {
		a.Evolve(a.Evolve(state, empty[i]), full[i])
	}
}

// An event of each type, without and with its fields. They are made once: laws are
// checked often.
var empty, full = func() (empty, full []proto.Message) {
	for _, typ := range event.Types() {
		empty, full = append(empty, event.New(typ)), append(full, Filled(typ))
	}
	return empty, full
}()

// EventLaws checks that an event survives being stored, and that it describes
// itself as descriptions are written.
func EventLaws(t TB, m proto.Message) {
	t.Helper()
	typ, data := event.TypeOf(m), event.Encode(m)
	back, err := event.Decode(typ, data)
	if err != nil || !proto.Equal(m, back) || string(event.Encode(back)) != string(data) {
		t.Fatalf("%s does not survive being stored: %v", typ, err)
	}
	line := event.Describe(m)
	switch {
	case line == "" || strings.HasSuffix(line, ".") || unicode.IsUpper([]rune(line)[0]):
		t.Fatalf("%s describes itself as %q: it must begin in lower case and have no final stop", typ, line)
	case event.Printable(line) != line:
		t.Fatalf("%s describes itself as %q: it must be printable", typ, line)
	}
}

func equal(a, b []proto.Message) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !proto.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// String returns the outcome for a message.
func (o Outcome) String() string {
	if o.refused != "" {
		return "refused: " + o.refused
	}
	return show(o.events)
}

func show(events []proto.Message) string {
	if len(events) == 0 {
		return "nothing"
	}
	var lines []string
	for _, m := range events {
		fields, _ := protojson.Marshal(m)
		lines = append(lines, event.TypeOf(m)+" "+string(fields)+" ("+event.Describe(m)+")")
	}
	return strings.Join(lines, "\n      ")
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
