package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

// maxReported is how many errors of one spec are reported.
const maxReported = 50

// mostGrowth bounds how many times as long as its text a spec's canonical form
// can be: 2 by characters that are escaped there, 3 by digits put in quotes.
const mostGrowth = 8

// Parse reads and checks a spec in JSON. The error is a *fault.Error of kind
// Invalid whose Fields say everything that is wrong, in the order of the text as
// far as it can be. A field that is null counts as left out. In env, labels and
// requires a number or boolean stands for its own text.
func Parse(data []byte) (Spec, error) {
	var d decoder
	v, ok := d.tree(data)
	if !ok {
		return Spec{}, d.err()
	}
	s := d.spec(v)
	if len(d.fields) == 0 {
		if d.fields = s.check(); d.fields == nil && len(data) > MaxSpecBytes/mostGrowth {
			d.checkSize(len(s.Canonical()))
		}
		if err := d.err(); err != nil {
			return Spec{}, err
		}
		return s, nil
	}
	for _, f := range s.check() {
		// What could not be read is not there, so the whole can't be judged.
		if f.Location != "" && !d.has(f.Location) {
			d.fields = append(d.fields, f)
		}
	}
	return Spec{}, d.err()
}

// decoder collects what is wrong.
type decoder struct{ fields []fault.Field }

func (d *decoder) err() error {
	return fault.Malformed("accept", "this spec", d.fields[:min(len(d.fields), maxReported)]...)
}

func (d *decoder) has(location string) bool {
	return slices.ContainsFunc(d.fields, func(f fault.Field) bool { return f.Location == location })
}

func (d *decoder) wrong(at, help, format string, args ...any) {
	d.fields = append(d.fields, field(at, help, format, args...))
}

// field returns what is wrong at a place; help says what would do.
func field(at, help, format string, args ...any) fault.Field {
	message := fmt.Sprintf(format, args...)
	if help != "" {
		message += "; " + help
	}
	return fault.Field{Location: at, Message: message, Help: help}
}

// read takes a value from its place.
type read func(at string, v value)

func (d *decoder) spec(v value) (s Spec) {
	d.object("", v, names[Spec], func(key string) read {
		switch key {
		case "name":
			return d.text(&s.Name)
		case "namespace":
			return d.text(&s.Namespace)
		case "pool":
			return d.text(&s.Pool)
		case "command":
			return d.text(&s.Command)
		case "steps":
			return each(d, &s.Steps, d.step)
		case "argv":
			return each(d, &s.Argv, d.item)
		case "shell":
			return d.text(&s.Shell)
		case "tty":
			return d.optional(&s.TTY)
		case "env":
			return d.pairs(&s.Env)
		case "secrets":
			return d.secrets(&s.Secrets)
		case "labels":
			return d.labels(&s.Labels)
		case "requires":
			return d.labels(&s.Requires)
		case "resources":
			return d.resources(&s.Resources)
		case "priority":
			return whole(d, &s.Priority)
		case "timeout":
			return d.duration(&s.Timeout)
		case "retries":
			return d.retries(&s.Retries)
		case "cancel":
			return d.cancel(&s.Cancel)
		case "exclusive":
			return d.boolean(&s.Exclusive)
		case "log_limit":
			return parsed(d, &s.LogLimit, resource.ParseBytes, resource.BytesHelp)
		}
		return nil
	})
	return s
}

func (d *decoder) step(at string, v value) (s Step) {
	d.object(at, v, names[Step], func(key string) read {
		switch key {
		case "name":
			return d.text(&s.Name)
		case "run":
			return d.text(&s.Run)
		case "env":
			return d.pairs(&s.Env)
		case "timeout":
			return d.duration(&s.Timeout)
		case "continue_on_error":
			return d.boolean(&s.ContinueOnError)
		}
		return nil
	})
	return s
}

func (d *decoder) resources(to *resource.Amount) read {
	return func(at string, v value) {
		d.object(at, v, names[resource.Amount], func(key string) read {
			switch key {
			case "cpu":
				return d.cpu(&to.CPU)
			case "memory":
				return parsed(d, &to.Memory, resource.ParseBytes, resource.BytesHelp)
			case "disk":
				return parsed(d, &to.Disk, resource.ParseBytes, resource.BytesHelp)
			}
			return nil
		})
	}
}

func (d *decoder) retries(to *Retries) read {
	return func(at string, v value) {
		d.object(at, v, names[Retries], func(key string) read {
			switch key {
			case "max":
				return whole(d, &to.Max)
			case "on":
				return each(d, &to.On, d.item)
			case "backoff":
				return d.duration(&to.Backoff)
			}
			return nil
		})
	}
}

func (d *decoder) cancel(to *Cancel) read {
	return func(at string, v value) {
		d.object(at, v, names[Cancel], func(key string) read {
			switch key {
			case "signal":
				return d.text(&to.Signal)
			case "grace":
				return d.positive(&to.Grace)
			}
			return nil
		})
	}
}

// object hands each member to the one who reads it, which is nil for an unknown
// field; known returns those there are.
func (d *decoder) object(at string, v value, known func() []string, reader func(key string) read) {
	if !d.is(at, v, object) {
		return
	}
	for _, m := range v.members {
		place := below(at, m.key)
		switch read := reader(m.key); {
		case read == nil:
			d.wrong(place, "", "%s", unknown(m.key, known(), at == ""))
		case m.value.sort != null:
			read(place, m.value)
		}
	}
}

// names returns the names of T's fields, sorted.
func names[T any]() (out []string) {
	t := reflect.TypeFor[T]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// is reports whether the value is of that sort; if not, that is wrong.
func (d *decoder) is(at string, v value, want sort) bool {
	if v.sort == want {
		return true
	}
	d.wrong(at, "", "%s is not %s", v, sortNames[want])
	return false
}

func (d *decoder) text(to *string) read {
	return func(at string, v value) {
		if d.is(at, v, str) {
			*to = v.text
		}
	}
}

func (d *decoder) boolean(to *bool) read {
	return func(at string, v value) {
		if d.is(at, v, boolean) {
			*to = v.text == "true"
		}
	}
}

func (d *decoder) optional(to **bool) read {
	return func(at string, v value) {
		*to = new(bool)
		d.boolean(*to)(at, v)
	}
}

// item reads a list's string.
func (d *decoder) item(at string, v value) (s string) {
	d.text(&s)(at, v)
	return s
}

func each[T any](d *decoder, to *[]T, read func(at string, v value) T) read {
	return func(at string, v value) {
		if !d.is(at, v, list) {
			return
		}
		for i, item := range v.items {
			*to = append(*to, read(index(at, i), item))
		}
	}
}

// whole reads a whole number that T can hold.
func whole[T int32 | uint32](d *decoder, to *T) read {
	return func(at string, v value) {
		if !d.is(at, v, number) {
			return
		}
		n, err := strconv.ParseInt(v.text, 10, 64)
		if err != nil || int64(T(n)) != n {
			d.wrong(at, "", "%s is not a whole number that can stand here", v)
			return
		}
		*to = T(n)
	}
}

func (d *decoder) duration(to *Duration) read {
	return parsed(d, to, ParseDuration, DurationHelp)
}

// positive reads a duration that can't be 0.
func (d *decoder) positive(to *Duration) read {
	read := d.duration(to)
	return func(at string, v value) {
		before := len(d.fields)
		if read(at, v); *to == 0 && len(d.fields) == before {
			d.wrong(at, "to end a job at once set cancel.signal to KILL", "it can't be 0")
		}
	}
}

// parsed reads a string that has a notation of its own.
func parsed[T any](d *decoder, to *T, parse func(string) (T, error), help string) read {
	return func(at string, v value) {
		if v.sort != str {
			d.wrong(at, help, "%s is not a string", v)
			return
		}
		got, err := parse(v.text)
		if err != nil {
			d.fields = append(d.fields, shown(field(at, help, "%s", err), v.text))
			return
		}
		*to = got
	}
}

// cpu reads a string, or a number of CPUs.
func (d *decoder) cpu(to *resource.CPU) read {
	read := parsed(d, to, resource.ParseCPU, resource.CPUHelp)
	return func(at string, v value) {
		if v.sort == number {
			v.sort = str
		}
		read(at, v)
	}
}

// pairs reads an object whose values are strings, or stand for their own text.
func (d *decoder) pairs(to *map[string]string) read {
	return func(at string, v value) {
		if !d.is(at, v, object) {
			return
		}
		m := make(map[string]string, len(v.members))
		for _, p := range v.members {
			switch p.value.sort {
			case str, number, boolean:
				m[p.key] = p.value.text
			default:
				d.wrong(below(at, p.key), "", "%s is not a string", p.value)
			}
		}
		if len(m) > 0 {
			*to = m
		}
	}
}

func (d *decoder) labels(to *resource.Labels) read {
	return func(at string, v value) {
		var m map[string]string
		d.pairs(&m)(at, v)
		*to = resource.FromMap(m)
	}
}

func shown(f fault.Field, value string) fault.Field {
	f.Value = cut(value)
	return f
}
