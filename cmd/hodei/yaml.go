package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"go.yaml.in/yaml/v4"
)

// yamlIndent is how far a level is indented, in columns.
const yamlIndent = 2

// programs says whether the answer is for programs: the API's body, as JSON or as
// the same in YAML, or the ids in it.
func (a *app) programs() bool {
	return a.output == "json" || a.output == "yaml" || a.output == nameForm
}

// encoded returns a value in the form that was asked for, JSON if none was. Raw
// JSON stays as it is; what the API left unsaid is not made up.
func (a *app) encoded(v any) ([]byte, error) {
	raw, ok := v.(json.RawMessage)
	if !ok {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return nil, err
		}
		raw = b.Bytes()
	}
	raw = bytes.TrimRight(raw, "\n")
	switch a.output {
	case "yaml":
		return toYAML(raw)
	case nameForm:
		return onlyNames(raw)
	}
	return append(raw[:len(raw):len(raw)], '\n'), nil
}

// document is encoded for one of several values in a row: lines of JSON, documents
// of YAML.
func (a *app) document(v any) ([]byte, error) {
	b, err := a.encoded(v)
	if err == nil && a.output == "yaml" && a.emitted {
		b = append([]byte("---\n"), b...)
	}
	a.emitted = true
	return b, err
}

// toYAML writes JSON as YAML: the same values with the same names in the same
// order.
func toYAML(raw []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	node, err := yamlNode(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one JSON value")
	}
	return yaml.Dump(node, yaml.WithIndent(yamlIndent), yaml.WithCompactSeqIndent(false), yaml.WithLineWidth(-1))
}

// yamlNode reads one JSON value. Its depth is bounded by the decoder's own limit.
func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := t.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if v == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for d.More() {
			child, err := yamlNode(d) // of an object, names and values in turn
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle // [] and {}
		}
		_, err := d.Token()
		return n, err
	case json.Number: // as it is written: none loses a digit
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}, nil
	}
	n := new(yaml.Node)
	return n, n.Encode(t)
}
