package spec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

// maxReported is how many errors of one spec are reported.
const maxReported = 50

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
		if err := s.Validate(); err != nil {
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
	d.object("", v, map[string]read{
		"name":      d.text(&s.Name),
		"namespace": d.text(&s.Namespace),
		"pool":      d.text(&s.Pool),
		"command":   d.text(&s.Command),
		"steps":     each(d, &s.Steps, d.step),
		"argv":      each(d, &s.Argv, d.item),
		"shell":     d.text(&s.Shell),
		"tty":       d.optional(&s.TTY),
		"env":       d.pairs(&s.Env),
		"labels":    d.labels(&s.Labels),
		"requires":  d.labels(&s.Requires),
		"resources": func(at string, v value) {
			d.object(at, v, map[string]read{
				"cpu":    d.cpu(&s.Resources.CPU),
				"memory": parsed(d, &s.Resources.Memory, resource.ParseBytes, resource.BytesHelp),
				"disk":   parsed(d, &s.Resources.Disk, resource.ParseBytes, resource.BytesHelp),
			})
		},
		"priority": whole(d, &s.Priority),
		"timeout":  d.duration(&s.Timeout),
		"retries": func(at string, v value) {
			d.object(at, v, map[string]read{
				"max":     whole(d, &s.Retries.Max),
				"on":      each(d, &s.Retries.On, d.item),
				"backoff": d.duration(&s.Retries.Backoff),
			})
		},
		"cancel": func(at string, v value) {
			d.object(at, v, map[string]read{
				"signal": d.text(&s.Cancel.Signal),
				"grace":  d.positive(&s.Cancel.Grace),
			})
		},
		"exclusive": d.boolean(&s.Exclusive),
	})
	return s
}

func (d *decoder) step(at string, v value) (s Step) {
	d.object(at, v, map[string]read{
		"name":              d.text(&s.Name),
		"run":               d.text(&s.Run),
		"env":               d.pairs(&s.Env),
		"timeout":           d.duration(&s.Timeout),
		"continue_on_error": d.boolean(&s.ContinueOnError),
	})
	return s
}

// object hands each member to the one who reads it.
func (d *decoder) object(at string, v value, known map[string]read) {
	if !d.is(at, v, object) {
		return
	}
	for _, m := range v.members {
		place := below(at, m.key)
		switch read, ok := known[m.key]; {
		case !ok:
			d.wrong(place, "", "%s", unknown(m.key, slices.Sorted(maps.Keys(known)), at == ""))
		case m.value.sort != null:
			read(place, m.value)
		}
	}
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
