package main

import (
	"regexp"
	"strings"
)

// message is a protobuf message or enum with its comments. The files have one
// statement a line, which is all that is understood here.
type message struct {
	name    string
	comment string // one paragraph
	fields  []field
}

type field struct {
	name, kind, comment string
}

var (
	opening   = regexp.MustCompile(`^(?:message|enum) (\w+) \{(\})?`)
	fieldLine = regexp.MustCompile(`^((?:repeated |optional )?[\w.]+) (\w+) = \d+;(?:\s*// (.*))?`)
	valueLine = regexp.MustCompile(`^([A-Z][A-Z0-9_]+) = \d+;(?:\s*// (.*))?`)
)

// messages reads the top-level messages and enums of a protobuf file in order.
func messages(text string) []message {
	var all []message
	var comment []string
	inside := false
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		words := strings.Join(comment, " ")
		if after, ok := strings.CutPrefix(line, "//"); ok {
			comment = append(comment, strings.TrimSpace(after))
			continue
		}
		comment = nil
		if m := opening.FindStringSubmatch(line); m != nil {
			all = append(all, message{name: m[1], comment: words})
			inside = m[2] == ""
			continue
		}
		if !inside {
			continue
		}
		inside = line != "}" || len(all) == 0
		if f, ok := parseField(line, words); ok {
			last := &all[len(all)-1]
			last.fields = append(last.fields, f)
		}
	}
	return all
}

func parseField(line, above string) (field, bool) {
	if m := fieldLine.FindStringSubmatch(line); m != nil {
		return field{name: m[2], kind: m[1], comment: strings.TrimSpace(above + " " + m[3])}, true
	}
	if m := valueLine.FindStringSubmatch(line); m != nil {
		return field{name: m[1], comment: strings.TrimSpace(above + " " + m[2])}, true
	}
	return field{}, false
}

// cell makes text fit into a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// sentence gives a text a capital and a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// writeMessage adds a message's section: its comment and the table of its fields.
func writeMessage(b *strings.Builder, m message, comment string) {
	b.WriteString("### " + m.name + "\n\n")
	if comment != "" {
		b.WriteString(sentence(comment) + "\n\n")
	}
	if len(m.fields) == 0 {
		return
	}
	b.WriteString("| field | type | meaning |\n|---|---|---|\n")
	for _, f := range m.fields {
		b.WriteString("| `" + f.name + "` | " + f.kind + " | " + cell(f.comment) + " |\n")
	}
	b.WriteString("\n")
}
