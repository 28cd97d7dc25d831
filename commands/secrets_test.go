package commands

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/secret"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
)

// canary is a secret that must be found nowhere.
const canary = "tr0ub4dor&3-canary"

// vault is a bench with a keyring.
type vault struct {
	*bench
	dir  string
	keys *keys
	s    *Service
}

// keys is a keyring that counts what it is asked to make, and fails when told to.
type keys struct {
	*keyring.File
	writes int
	broken error
}

func (k *keys) CreateDataKeys(ctx context.Context, names ...string) ([]keyring.DataKey, error) {
	if k.broken != nil {
		return nil, k.broken
	}
	k.writes++
	return k.File.CreateDataKeys(ctx, names...)
}

func (k *keys) DataKey(ctx context.Context, name string) (keyring.DataKey, error) {
	if k.broken != nil {
		return keyring.DataKey{}, k.broken
	}
	return k.File.DataKey(ctx, name)
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{bench: newBench(t), dir: t.TempDir(), keys: new(keys)}
	var err error
	if v.keys.File, err = keyring.OpenFile(filepath.Join(v.dir, "keyring"), filepath.Join(v.dir, "key")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.keys.Close() })
	v.s = v.on(v.store)
	v.ok(v.s.CreateNamespace(t.Context(), ana, spec.DefaultNamespace, ""))
	return v
}

func (v *vault) on(store eventstore.Store) *Service {
	return New(Config{Store: store, Keys: v.keys, Clock: v.store.Now})
}

func with(secrets map[string]spec.Secret) spec.Spec {
	return spec.Spec{Argv: []string{"true"}, Secrets: secrets}
}

var sealed = with(map[string]spec.Secret{"TOKEN": {Value: canary}})

func (v *vault) names(prefix string) []string {
	v.Helper()
	names, err := v.keys.DataKeyNames(v.Context(), prefix)
	if err != nil {
		v.Fatal(err)
	}
	return names
}

func (v *vault) submitted(sp spec.Spec) id.ID {
	v.Helper()
	done := v.s.SubmitJobs(v.Context(), ana, []Submission{{Spec: sp}})[0]
	if done.Err != nil {
		v.Fatal(done.Err)
	}
	return done.ID
}

func (v *vault) set(name, value string) uint32 {
	v.Helper()
	version, _, err := v.s.SetSecret(v.Context(), ana, "default", name, []byte(value))
	if err != nil {
		v.Fatal(err)
	}
	return version
}

// given binds a job's next attempt and returns what its worker is given.
func (v *vault) given(i id.ID) (string, error) {
	v.Helper()
	state := v.state(i)
	if err := v.bind(v.s, i, state.Attempt+1); err != nil {
		v.Fatal(err)
	}
	sp, err := v.s.Spec(v.Context(), i)
	if err != nil {
		v.Fatal(err)
	}
	secrets, err := v.s.GiveSecrets(v.Context(), ana, i, state.Attempt+1, id.ID(7).String(), sp)
	var text []string
	for _, g := range secrets {
		text = append(text, g.Variable+"="+string(g.Value))
	}
	return strings.Join(text, " "), err
}

// A value stands in no event and in no file, in the clear or in a form that can be
// undone without the keyring.
func TestAValueIsInNoEventAndNoFile(t *testing.T) {
	v := newVault(t)
	done := v.s.SubmitJobs(t.Context(), ana, []Submission{{Spec: sealed, Key: "k"}})[0]
	if done.Err != nil {
		t.Fatal(done.Err)
	}
	v.set("db", canary)
	records, _, err := v.store.ReadAll(t.Context(), nil, 1, 1000, eventstore.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(canary))
	seen := func(what string, data []byte) {
		for _, form := range [][]byte{[]byte(canary), []byte("dHIwdWI0ZG9y"), fmt.Appendf(nil, "%x", canary), sum[:]} {
			if bytes.Contains(data, form) {
				t.Errorf("%s has %q", what, form)
			}
		}
	}
	for _, r := range records {
		seen(fmt.Sprintf("#%d %s", r.Position, r.Type), slices.Concat(r.Data, r.Metadata, fmt.Append(nil, r.Value)))
		if m, err := event.Decode(r.Type, r.Data); err == nil {
			seen("its line", []byte(event.Describe(m)))
		}
	}
	if err := v.keys.Close(); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(filepath.Dir(v.dir), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files++
		seen(path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 5 {
		t.Errorf("only %d files were looked at", files)
	}
}

func TestAWorkerIsGivenTheSecretsOfItsAttempt(t *testing.T) {
	v := newVault(t)
	v.set("db", "one")
	v.set("db", "two")
	sp := with(map[string]spec.Secret{"TOKEN": {Value: canary}, "DB": {From: "db"}, "OLD": {From: "db", Version: 1}})
	sp.Retries = spec.Retries{Max: 1}
	i := v.submitted(sp)
	for attempt, want := range []string{"DB=two OLD=one TOKEN=" + canary, "DB=three OLD=one TOKEN=" + canary} {
		if attempt == 1 { // a retry gets the newest of its time
			v.set("db", "three")
			worker := id.ID(7).String()
			if err := v.s.StartJob(t.Context(), ana, i, job.Start{Attempt: 1, Worker: worker}); err != nil {
				t.Fatal(err)
			}
			if err := v.s.FinishJob(t.Context(), ana, i, job.Finish{Attempt: 1, Worker: worker, Outcome: job.OutcomeFailed}); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := v.given(i); err != nil || got != want {
			t.Errorf("attempt %d is given %q, %v, want %q", attempt+1, got, err, want)
		}
	}
	read := 0
	for _, line := range v.story(event.JobStream(i)) {
		if strings.HasPrefix(line, "given to") {
			read++
		}
	}
	if read != 2 {
		t.Errorf("%d readings are recorded: %q", read, v.story(event.JobStream(i)))
	}
	if got := fmt.Sprintf("%v %+v %#v", GivenSecret{"A", []byte(canary)}, GivenSecret{"A", []byte(canary)}, []GivenSecret{{"A", []byte(canary)}}); strings.Contains(got, "tr0") {
		t.Errorf("it is printed as %s", got)
	}
}

// What can't be had ends the attempt, says why, and stands in nobody's way.
func TestASecretThatCannotBeHad(t *testing.T) {
	for _, row := range []struct {
		name string
		lose func(v *vault, i id.ID)
		want string
	}{
		{"its data key is lost", func(v *vault, i id.ID) { v.drop(jobKey(i)) },
			"secret TOKEN: its data key is not in the keyring any more"},
		{"the stored secret was deleted", func(v *vault, _ id.ID) { v.ok(v.s.DeleteSecret(v.Context(), ana, "default", "db")) },
			"stored secret db: it was deleted"},
		{"the stored secret's data key is lost", func(v *vault, _ id.ID) { v.drop(v.names(secretKeys)...) },
			"stored secret db: its data key is not in the keyring any more"},
		{"the version is too old by now", func(v *vault, _ id.ID) {
			for range secret.MaxVersions {
				v.set("db", "newer")
			}
		}, "stored secret db: version 1 can't be read any more, the oldest is 2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVault(t)
			v.set("db", "one")
			i := v.submitted(with(map[string]spec.Secret{"TOKEN": {Value: canary}, "DB": {From: "db", Version: 1}}))
			row.lose(v, i)
			_, err := v.given(i)
			v.wantKind(fault.Refused, err)
			story := v.story(event.JobStream(i))
			if got, want := story[len(story)-1], "failed on 00000007: "+row.want; got != want {
				t.Errorf("it %s\nwant %s", got, want)
			}
		})
	}
}

func (v *vault) drop(names ...string) {
	v.Helper()
	if err := v.keys.DropDataKeys(v.Context(), names...); err != nil {
		v.Fatal(err)
	}
}

// A sealed value that was moved to another job, variable or version is not opened
// there.
func TestASealedValueOpensWhereItBelongsAlone(t *testing.T) {
	v := newVault(t)
	i := v.submitted(sealed)
	sp, err := v.s.Spec(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	other := v.submitted(sealed)
	moved := sp
	moved.Namespace = "web"
	for _, row := range []struct {
		name     string
		job      id.ID
		variable string
		spec     spec.Spec
		want     fault.Kind
	}{
		{"another variable", i, "OTHER", spec.Spec{Namespace: "default", Secrets: map[string]spec.Secret{"OTHER": sp.Secrets["TOKEN"]}}, fault.NotFound},
		{"another job", other, "TOKEN", sp, fault.NotFound},
		{"another namespace", i, "TOKEN", moved, fault.NotFound},
	} {
		if got, _, err := v.s.openSecret(t.Context(), row.job, row.variable, row.spec); fault.KindOf(err) != row.want {
			t.Errorf("%s: %q, %v", row.name, got, err)
		}
	}
	if got, _, err := v.s.openSecret(t.Context(), i, "TOKEN", sp); err != nil || string(got) != canary {
		t.Errorf("where it belongs: %q, %v", got, err)
	}
}

// Without its keyring a server takes nothing with secrets, and ends nothing for
// want of them.
func TestAKeyringThatFails(t *testing.T) {
	v := newVault(t)
	i := v.submitted(sealed)
	before, _ := v.store.Wait()
	v.keys.broken = errors.New("input/output error")
	v.wantKind(fault.Unavailable, v.s.SubmitJobs(t.Context(), ana, []Submission{{Spec: sealed}})[0].Err)
	_, _, err := v.s.SetSecret(t.Context(), ana, "default", "db", []byte("x"))
	v.wantKind(fault.Unavailable, err)
	if after, _ := v.store.Wait(); after != before {
		t.Errorf("%d events were recorded", after-before)
	}
	_, err = v.given(i)
	v.wantKind(fault.Unavailable, err)
	if got := v.state(i).Status; got != job.Bound {
		t.Errorf("the job is %s", got)
	}
	v.wantKind(fault.Unavailable, v.server().SubmitJobs(t.Context(), ana, []Submission{{Spec: sealed}})[0].Err) // it has none
}

func TestStoredSecrets(t *testing.T) {
	v := newVault(t)
	for n := range uint32(secret.MaxVersions + 2) {
		if got := v.set("db", "x"); got != n+1 {
			t.Fatalf("version %d is the %d.", got, n+1)
		}
	}
	if n := len(v.names(secretKeys)); n != secret.MaxVersions {
		t.Errorf("%d keys are kept, want those of %d versions", n, secret.MaxVersions)
	}
	for range 2 {
		v.ok(v.s.DeleteSecret(t.Context(), ana, "default", "db"))
	}
	if names := v.names(secretKeys); len(names) != 0 {
		t.Errorf("after it was deleted there are keys %q", names)
	}
	if got := v.set("db", "x"); got != secret.MaxVersions+3 {
		t.Errorf("its next version is %d", got)
	}
	_, err := v.s.DeleteSecret(t.Context(), ana, "default", "none")
	v.wantKind(fault.NotFound, err)
	for _, row := range []struct {
		namespace, name, value string
		kind                   fault.Kind
	}{
		{"nowhere", "a", canary, fault.NotFound}, {"No", "a", canary, fault.Invalid}, {"default", "", canary, fault.Invalid},
		{"default", "a/b", canary, fault.Invalid}, {"default", "a", "", fault.Invalid}, {"default", "a", canary + "\x00", fault.Invalid},
		{"default", "a", strings.Repeat(canary, spec.MaxSecretValue), fault.Invalid},
	} {
		_, _, err := v.s.SetSecret(t.Context(), ana, row.namespace, row.name, []byte(row.value))
		v.wantKind(row.kind, err)
		if strings.Contains(fmt.Sprintf("%+v", err), canary) {
			t.Errorf("the value is told: %v", err)
		}
	}
	if n := len(v.names(secretKeys)); n != 1 {
		t.Errorf("what was refused left %d keys", n-1)
	}
}
