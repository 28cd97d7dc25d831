package settings_test

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/aggregatetest"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/settings"
)

var aggregate = aggregatetest.Aggregate[settings.State, settings.Command]{Evolve: settings.Evolve, Decide: settings.State.Decide}

type row aggregatetest.Row[settings.Command]

// Short names, so that rows read as sentences.
var (
	given   = aggregatetest.Given
	then    = aggregatetest.Then
	nothing = aggregatetest.Nothing()
	refused = aggregatetest.Refused
)

func when(c settings.Command) settings.Command { return c }

func to[T any](v T) *T { return &v }

func TestChange(t *testing.T) {
	hour := int64(time.Hour)
	aggregatetest.Run(t, aggregate, []row{
		{"nothing is changed", given(), when(settings.Change{}), nothing},
		{"what is the default already", given(), when(settings.Change{Policy: to("binpack"), KeptFinished: to(uint32(10_000))}), nothing},
		{"one setting of several that are named", given(),
			when(settings.Change{Policy: to("leastloaded"), AgingStep: to(time.Minute)}),
			then(&eventv1.SettingsChanged{Policy: to("leastloaded")})},
		{"every setting", given(),
			when(settings.Change{KeptFinished: to(uint32(0)), AgingStep: to(time.Duration(0)), Policy: to("leastloaded"), ReconnectTolerance: to(time.Hour), OrphanAfter: to(2 * time.Hour), SecretRetention: to(time.Hour)}),
			then(&eventv1.SettingsChanged{KeptFinished: to(uint32(0)), AgingStepNs: to(int64(0)), Policy: to("leastloaded"), ReconnectToleranceNs: &hour, OrphanAfterNs: to(2 * hour), SecretRetentionNs: &hour})},
		{"the same twice", given(&eventv1.SettingsChanged{Policy: to("leastloaded")}), when(settings.Change{Policy: to("leastloaded")}), nothing},
		{"a policy that does not exist", given(), when(settings.Change{Policy: to("random")}),
			refused(`cannot change the settings: policy: "random" is not a policy: binpack, leastloaded may be`)},
		{"a tolerance that is too short", given(), when(settings.Change{ReconnectTolerance: to(time.Millisecond)}),
			refused("cannot change the settings: reconnect_tolerance: 1ms can't be: 10s to 1h may be")},
		{"a tolerance shorter than what workers need to be heard", given(), when(settings.Change{ReconnectTolerance: to(9 * time.Second)}),
			refused("cannot change the settings: reconnect_tolerance: 9s can't be: 10s to 1h may be")},
		{"a tolerance for longer than an agent goes on", given(&eventv1.SettingsChanged{OrphanAfterNs: to(int64(time.Minute))}), when(settings.Change{ReconnectTolerance: to(2 * time.Minute)}),
			refused("cannot change the settings: reconnect_tolerance: 2m can't be: it may not be longer than orphan_after, 1m")},
		{"what another version had set is not in the way", given(&eventv1.SettingsChanged{ReconnectToleranceNs: to(int64(time.Second))}),
			when(settings.Change{Policy: to("leastloaded")}), then(&eventv1.SettingsChanged{Policy: to("leastloaded")})},
		{"of the version they have", given(&eventv1.SettingsChanged{KeptFinished: to(uint32(5))}), when(settings.Change{Of: to(uint64(1)), KeptFinished: to(uint32(6))}),
			then(&eventv1.SettingsChanged{KeptFinished: to(uint32(6))})},
		{"of the version before somebody else's change", given(&eventv1.SettingsChanged{KeptFinished: to(uint32(5))}), when(settings.Change{Of: to(uint64(0)), KeptFinished: to(uint32(6))}),
			refused("cannot change the settings: they are at version 1, the change is of version 0")},
		{"again, when it was made already", given(&eventv1.SettingsChanged{KeptFinished: to(uint32(5))}), when(settings.Change{Of: to(uint64(0)), KeptFinished: to(uint32(5))}), nothing},
		{"an agent that would give up before it is lost", given(), when(settings.Change{OrphanAfter: to(time.Second)}),
			refused("cannot change the settings: orphan_after: 1s can't be: 30s to 7d may be")},
		{"secrets that are kept for ever", given(), when(settings.Change{SecretRetention: to(366 * 24 * time.Hour)}),
			refused("cannot change the settings: secret_retention: 366d can't be: 0ms to 365d may be")},
		{"more finished jobs than fit", given(), when(settings.Change{KeptFinished: to(uint32(2_000_000))}),
			refused("cannot change the settings: kept_finished: 2000000 is too many: at most 1000000 may be")},
		{"aging that goes back", given(), when(settings.Change{AgingStep: to(-time.Second)}),
			refused("cannot change the settings: aging_step: -1s can't be: 0ms to 1d may be")},
	})
}

// The matrix has a command for each setting, so for one that comes to be as well:
// that it is changed once, and that the state has it then.
func TestMatrix(t *testing.T) {
	var commands []aggregatetest.Case[settings.Command]
	changed := []proto.Message{}
	for i := range reflect.TypeFor[settings.Change]().NumField() {
		var c settings.Change
		if reflect.TypeFor[settings.Change]().Field(i).Name == "Of" {
			continue // no setting, but which ones the change is of
		}
		field := reflect.ValueOf(&c).Elem().Field(i)
		switch p := field.Addr().Interface().(type) {
		case **uint32:
			*p = to(uint32(7))
		case **time.Duration:
			*p = to(30 * time.Minute) // may be for all, and is no default
		case **string:
			*p = to("leastloaded")
		default:
			t.Fatalf("no value for a %s", field.Type())
		}
		commands = append(commands, aggregatetest.Named[settings.Command](reflect.TypeFor[settings.Change]().Field(i).Name, c))
		decided, err := aggregate.Decide(settings.State{}, c)
		if err != nil {
			t.Fatal(err)
		}
		changed = append(changed, decided...)
	}
	if fields := new(eventv1.SettingsChanged).ProtoReflect().Descriptor().Fields().Len(); fields != len(commands) {
		t.Errorf("of %d settings that an event can change %d can be asked for", fields, len(commands))
	}
	commands = append(commands, aggregatetest.Named[settings.Command]("KeptFinished, of version 0", settings.Change{Of: to(uint64(0)), KeptFinished: to(uint32(8))}))
	aggregatetest.Golden(t, "matrix.golden.md", aggregate.Matrix(t, []aggregatetest.Case[[]proto.Message]{
		aggregatetest.Named("nothing was changed", given()),
		aggregatetest.Named("everything was changed", changed),
	}, commands))
}

func TestDefaults(t *testing.T) {
	var zero settings.State
	if zero.WithDefaults() != settings.Default() || settings.Default().WithDefaults() != settings.Default() {
		t.Error("the zero value does not stand for the defaults")
	}
	got := settings.Evolve(zero, &eventv1.SettingsChanged{KeptFinished: to(uint32(0))})
	want := settings.Default()
	want.KeptFinished, want.Version = 0, 1
	if got != want || got.WithDefaults() != want {
		t.Errorf("%+v", got)
	}
	if settings.Evolve(zero, &eventv1.JobStarted{}) != zero {
		t.Error("an event that does not concern settings changes them")
	}
}
