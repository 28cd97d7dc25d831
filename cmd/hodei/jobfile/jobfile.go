// Package jobfile reads a job's spec from a YAML or JSON file and says where in
// the file what is wrong with it stands.
package jobfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// maxDepth is how deeply a file may be nested; a spec needs 4 levels.
const maxDepth = 16

// Mistake is one thing that is wrong with a file.
type Mistake struct {
	File         string
	Line, Column int    // from 1; 0 is unknown
	Text         string // what is wrong
	Help         string // what would do
	Source       string // the line; empty if a secret stands in it
	Width        int    // columns of what is wrong
}

// Error holds all that is wrong with a file.
type Error struct{ Mistakes []Mistake }

func (e *Error) Error() string {
	m := e.Mistakes[0]
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}

// Parse returns the file's spec as JSON, checked as the server will check it. An
// error is an *Error.
func Parse(name string, data []byte) ([]byte, error) {
	f := &file{name: name, lines: strings.Split(string(data), "\n"), places: map[string]place{}, secret: map[int]bool{}}
	if len(data) > spec.MaxSpecBytes {
		return nil, f.wrong(place{}, fmt.Sprintf("the file has %d bytes, a job may have %d", len(data), spec.MaxSpecBytes))
	}
	if !utf8.Valid(data) {
		return nil, f.wrong(place{}, "the file is not UTF-8")
	}
	doc, err := f.only(data)
	if err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, f.wrong(place{line: 1, column: 1}, "the file is empty")
	}
	var b bytes.Buffer
	if err := f.write(&b, doc.Content[0], "", 0); err != nil {
		return nil, err
	}
	if _, err := spec.Parse(b.Bytes()); err != nil {
		return nil, f.explain(err)
	}
	return b.Bytes(), nil
}

// only reads the file's one document.
func (f *file) only(data []byte) (doc yaml.Node, err error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return doc, f.syntax(err)
	}
	var second yaml.Node
	switch err := d.Decode(&second); {
	case errors.Is(err, io.EOF):
		return doc, nil
	case err != nil:
		return doc, f.syntax(err)
	}
	return doc, f.wrong(place{second.Line, second.Column, 1}, "a second document begins here; a file holds one job")
}

type file struct {
	name   string
	lines  []string
	places map[string]place // by location: of the key, and with a trailing = of the value
	secret map[int]bool     // lines in which a secret stands, which are not shown
}

type place struct{ line, column, width int }

// write turns a node into JSON and notes where each field stands.
func (f *file) write(b *bytes.Buffer, n *yaml.Node, at string, depth int) error {
	here := place{n.Line, n.Column, len([]rune(n.Value))}
	if depth > maxDepth {
		return f.wrong(here, "it is nested too deeply")
	}
	switch n.Kind {
	case yaml.MappingNode:
		return f.mapping(b, n, at, depth)
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, c := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			item := at + "[" + strconv.Itoa(i) + "]"
			f.places[item], f.places[item+"="] = place{c.Line, c.Column, 1}, place{c.Line, c.Column, max(len([]rune(c.Value)), 1)}
			if err := f.write(b, c, item, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case yaml.ScalarNode:
		return f.scalar(b, n, here, isSecret(at))
	}
	return f.wrong(here, "anchors and aliases are not possible here")
}

func (f *file) mapping(b *bytes.Buffer, n *yaml.Node, at string, depth int) error {
	b.WriteByte('{')
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		where := place{key.Line, key.Column, len([]rune(key.Value))}
		if key.Kind != yaml.ScalarNode {
			return f.wrong(where, "a field's name must be a word")
		}
		path := strings.TrimPrefix(at+"."+key.Value, ".")
		if isSecret(path) {
			f.hide(value)
		}
		if seen[key.Value] {
			return f.wrong(where, fmt.Sprintf("field %q stands here twice", key.Value))
		}
		seen[key.Value] = true
		if i > 0 {
			b.WriteByte(',')
		}
		quoted, err := json.Marshal(key.Value)
		if err != nil {
			return err
		}
		b.Write(append(quoted, ':'))
		f.places[path] = where
		f.places[path+"="] = place{value.Line, value.Column, max(len([]rune(value.Value)), 1)}
		f.places[at+"["+strconv.Quote(key.Value)+"]"] = where // so faults of what users give names to are located
		if err := f.write(b, value, path, depth+1); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// isSecret reports whether a secret, or a part of one, stands at a location.
func isSecret(at string) bool {
	return at == "secrets" || strings.HasPrefix(at, "secrets.") || strings.HasPrefix(at, "secrets[")
}

// hide keeps the lines of a secret from being shown.
func (f *file) hide(n *yaml.Node) {
	last := n.Line + strings.Count(n.Value, "\n")
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		last++ // a block begins in the line after
	}
	for line := n.Line; line <= last; line++ {
		f.secret[line] = true
	}
}

func (f *file) scalar(b *bytes.Buffer, n *yaml.Node, here place, hidden bool) error {
	var v any = n.Value
	switch n.ShortTag() {
	case "!!null":
		v = nil
	case "!!bool", "!!int", "!!float":
		if err := n.Decode(&v); err != nil {
			if hidden {
				return f.wrong(here, "a secret is its value in quotes")
			}
			return f.wrong(here, err.Error())
		}
	}
	text, err := json.Marshal(v)
	switch {
	case err != nil && hidden:
		return f.wrong(here, "a secret is its value in quotes")
	case err != nil:
		return f.wrong(here, fmt.Sprintf("%q can't be a value here", n.Value))
	}
	b.Write(text)
	return nil
}

// explain puts the faults of a spec to their places in the file.
func (f *file) explain(err error) error {
	var fe *fault.Error
	if !errors.As(err, &fe) {
		return err
	}
	if len(fe.Fields) == 0 {
		return f.wrong(place{line: 1, column: 1}, fe.Error())
	}
	out := &Error{}
	for _, d := range fe.Fields {
		text, p := d.Location+": "+d.Short(), f.places[d.Location+"="]
		if strings.HasPrefix(d.Message, "unknown field") {
			text, p = d.Short(), f.places[d.Location]
		}
		if p.line == 0 {
			p = f.nearest(d.Location)
		}
		m := f.mistake(p, strings.TrimPrefix(text, ": "))
		if m.Help = d.Help; m.Source == "" && d.Help != "" {
			m.Text, m.Help = d.Location+": "+d.Message, ""
		}
		out.Mistakes = append(out.Mistakes, m)
	}
	return out
}

// nearest returns the place of the innermost field around a location.
func (f *file) nearest(location string) place {
	for location != "" {
		if p, ok := f.places[location]; ok {
			return p
		}
		location = location[:max(strings.LastIndexAny(location, ".["), 0)]
	}
	return place{line: 1, column: 1}
}

func (f *file) mistake(p place, text string) Mistake {
	m := Mistake{File: f.name, Line: p.line, Column: p.column, Text: text, Width: max(p.width, 1)}
	if p.line >= 1 && p.line <= len(f.lines) && !f.secret[p.line] {
		m.Source = strings.TrimRight(f.lines[p.line-1], "\r")
	}
	return m
}

func (f *file) wrong(p place, text string) error {
	return &Error{Mistakes: []Mistake{f.mistake(p, text)}}
}

// syntax finds the line in an error of the YAML reader: "yaml: line 3: …".
func (f *file) syntax(err error) error {
	text := strings.TrimPrefix(strings.SplitN(err.Error(), "\n", 2)[0], "yaml: ")
	p := place{line: 1, column: 1}
	if _, rest, ok := strings.Cut(text, "line "); ok {
		number, after, _ := strings.Cut(rest, ":")
		if n, nerr := strconv.Atoi(strings.TrimSpace(number)); nerr == nil {
			p.line, text = n, strings.TrimSpace(after)
		}
	}
	return f.wrong(p, "it is not YAML: "+text)
}
