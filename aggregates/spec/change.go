package spec

import (
	"maps"
	"slices"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/fault"
)

// works are the fields that say what is done; a spec has one of them.
var works = []string{"command", "steps", "argv"}

// seesSecrets are the fields that decide what gets to see the values of a job's
// secrets.
var seesSecrets = append([]string{"shell", "env", "secrets"}, works...)

// Change returns a spec with changes, for a job that does again what another did.
// The changes are a JSON object that is merged into the spec: objects member by
// member, null takes a field away, all else replaces what was there. Another
// command, argv or steps replaces whichever of them the spec had, with its shell.
//
// The sealed values of the job's own secrets stay, but only where the changes leave
// alone what sees them; else whoever may submit jobs could read them by another
// command. The error is one of Parse, whose locations are those in the changes.
func (s Spec) Change(changes []byte) (Spec, error) {
	var d, before decoder
	change, ok := d.tree(changes)
	if !ok {
		return Spec{}, d.err()
	}
	if !d.is("", change, object) {
		return Spec{}, d.err()
	}
	bare := s
	bare.Secrets = nil
	old, ok := before.tree(bare.Canonical())
	if !ok {
		return Spec{}, before.err()
	}
	if slices.ContainsFunc(works, change.has) {
		old.drop(append([]string{"shell"}, works...)...)
	}
	out := d.spec(merged(old, change))
	if out.Namespace != s.Namespace {
		d.wrong("namespace", "", "it stays in its namespace, %s", s.Namespace)
	}
	d.carry(&out, s, change)
	if len(d.fields) == 0 {
		if d.fields = out.check(); d.fields == nil {
			d.checkSize(len(out.Canonical()))
		}
	}
	if err := d.err(); err != nil {
		return Spec{}, err
	}
	return out, nil
}

// carry gives the changed spec those secrets of the one before that the changes
// say nothing of.
func (d *decoder) carry(to *Spec, from Spec, change value) {
	secrets, _ := change.get("secrets")
	if change.has("secrets") && secrets.sort == null {
		return
	}
	var touched []string
	for _, field := range seesSecrets {
		if change.has(field) {
			touched = append(touched, field)
		}
	}
	all := maps.Clone(to.Secrets)
	for _, name := range slices.Sorted(maps.Keys(from.Secrets)) {
		if secrets.has(name) {
			continue
		}
		if from.Secrets[name].Own() && touched != nil {
			d.fields = append(d.fields, fault.Field{
				Location: below("secrets", name), Help: "give it again, or null to leave it out",
				Message: "its value does not go along to a job with another " + strings.Join(touched, ", ") + ", where it could be read",
			})
			continue
		}
		if all == nil {
			all = map[string]Secret{}
		}
		all[name] = from.Secrets[name]
	}
	to.Secrets = all
}

// merged is what becomes of a tree by changes.
func merged(old, change value) value {
	if old.sort != object || change.sort != object {
		return change
	}
	out := value{sort: object, members: slices.Clone(old.members)}
	for _, m := range change.members {
		before, _ := old.get(m.key)
		out.drop(m.key)
		if m.value.sort == null {
			continue
		}
		if m.value.sort == object {
			if before.sort != object {
				before = value{sort: object}
			}
			m.value = merged(before, m.value)
		}
		out.members = append(out.members, m)
	}
	return out
}

func (v *value) get(key string) (value, bool) {
	for i := range v.members {
		if v.members[i].key == key {
			return v.members[i].value, true
		}
	}
	return value{}, false
}

// drop takes members away. The list is made anew: others may share it.
func (v *value) drop(keys ...string) {
	var left []member
	for _, m := range v.members {
		if !slices.Contains(keys, m.key) {
			left = append(left, m)
		}
	}
	v.members = left
}
