package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// defaultName is the name of a job whose work gives none.
const defaultName = "job"

// maxDerived is how many bytes a name has that is taken from a script.
const maxDerived = 40

// WithDefaults returns the spec with what was left out filled in: namespace,
// shell, CPU, how it is cancelled, and names, which are taken from what is to be
// executed. Causes of retries are sorted. The spec itself stays as it is.
func (s Spec) WithDefaults() Spec {
	fill(&s.Namespace, DefaultNamespace)
	if len(s.Argv) == 0 {
		fill(&s.Shell, DefaultShell)
	}
	fill(&s.Resources.CPU, DefaultCPU)
	fill(&s.Cancel.Signal, DefaultSignal)
	fill(&s.Cancel.Grace, DefaultGrace)
	fill(&s.Name, s.derivedName())
	s.Retries.On = slices.Clone(s.Retries.On)
	slices.Sort(s.Retries.On)
	s.Steps = slices.Clone(s.Steps)
	for i := range s.Steps {
		fill(&s.Steps[i].Name, firstLine(s.Steps[i].Run))
		fill(&s.Steps[i].Name, fmt.Sprintf("step %d", i+1))
	}
	return s
}

func fill[T comparable](to *T, with T) {
	if *to == *new(T) {
		*to = with
	}
}

// derivedName is the program's name: make for "CC=gcc /usr/bin/make test".
func (s Spec) derivedName() string {
	words := s.Argv
	switch {
	case len(s.Steps) > 0:
		words = strings.Fields(s.Steps[0].Run)
	case len(words) == 0:
		words = strings.Fields(s.Command)
	}
	for _, w := range words {
		if strings.Contains(w, "=") {
			continue
		}
		if name := firstLine(path.Base(w)); name != "" && strings.ContainsFunc(name, alphanumeric) {
			return name
		}
		break
	}
	return defaultName
}

func alphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// firstLine returns the first line of a text as a name: printable, cut.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	line = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line)
	for i := range line {
		if i >= maxDerived {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}

func (s Spec) script(run string) []string {
	shell := strings.Fields(s.Shell)
	if len(shell) == 0 {
		shell = []string{DefaultShell}
	}
	return append(shell, "-c", run)
}

// Canonical returns the spec's one canonical form: JSON without what is not set,
// fields in a fixed order, keys sorted, no white space. Of a secret that is not
// sealed it has the name alone.
func (s Spec) Canonical() []byte { return encode(s) }

func encode(form any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(form); err != nil {
		panic(fmt.Sprintf("a spec can't be encoded: %v", err)) // it has no type that could fail
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// FromCanonical returns the spec whose canonical form is data. It was checked when
// it was accepted, so no limit is looked at, and fields of a newer version are
// passed over.
func FromCanonical(data []byte) (Spec, error) {
	var s Spec
	if err := json.Unmarshal(data, &s); err != nil {
		return Spec{}, fmt.Errorf("cannot read a stored spec: %w", err)
	}
	return s, nil
}
