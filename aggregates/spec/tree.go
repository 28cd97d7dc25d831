package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
)

// A spec is read in two passes: its text into a tree, which finds what is no
// JSON at all and keys that are given twice; then the tree into a Spec, which
// finds unknown fields and wrong types and knows where each stands.

const (
	maxDepth = 16 // of nested objects and lists
	maxShown = 32 // characters of a wrong value in a message
)

type sort uint8

const (
	null sort = iota
	boolean
	number
	str
	list
	object
)

var sortNames = [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}

// value is one node of the tree.
type value struct {
	sort    sort
	text    string // of a boolean, number or string; literally, but for a string's escapes
	items   []value
	members []member // in the order of the text
}

type member struct {
	key   string
	value value
}

// String returns the value for a message, cut.
func (v value) String() string {
	switch v.sort {
	case str:
		return quote(v.text)
	case boolean, number:
		return cut(v.text)
	}
	return sortNames[v.sort]
}

func quote(s string) string { return strconv.Quote(cut(s)) }

func cut(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxShown {
			return s[:i] + "…"
		}
	}
	return s
}

// tree reads JSON text. What it finds wrong it adds to d; ok is false if there is
// no tree.
func (d *decoder) tree(data []byte) (v value, ok bool) {
	if d.checkSize(len(data)); d.fields != nil {
		return value{}, false
	}
	if !utf8.Valid(data) {
		d.wrong("", "", "it is not UTF-8")
		return value{}, false
	}
	if !json.Valid(data) {
		d.syntax(data, json.Unmarshal(data, new(json.RawMessage)))
		return value{}, false
	}
	return (&scanner{decoder: d, text: string(data)}).value("", 0)
}

// syntax reports that the text is no JSON, with the line and column.
func (d *decoder) syntax(data []byte, err error) {
	offset, reason := len(data), "it ends too early"
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && !strings.HasPrefix(err.Error(), "unexpected end") {
		offset, reason = int(syntax.Offset)-1, event.Printable(err.Error())
	}
	before := data[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	d.fields = append(d.fields, fault.Field{
		Message: fmt.Sprintf("it is not JSON: line %d, column %d: %s", line, column, reason),
		Line:    line, Column: column,
	})
}

// below returns the place of a member: resources.memory, or env["a b"] where the
// key is no plain word.
func below(at, key string) string {
	for i := range len(key) {
		c := key[i]
		plain := c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !plain {
			return at + "[" + quote(key) + "]"
		}
	}
	if at == "" || key == "" {
		return at + key
	}
	return at + "." + key
}

// index returns the place of a list's item, from 0: steps[1].
func index(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }
