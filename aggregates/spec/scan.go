package spec

import (
	"encoding/json"
	"strings"
)

// manyMembers is from how many on members are looked up by their key.
const manyMembers = 16

// scanner makes the tree of a text that is known to be JSON, so that it need not
// expect anything else. The tree's texts are parts of the scanner's, but for
// those with escapes.
type scanner struct {
	*decoder
	text string
	at   int // offset of what is read next
}

// value reads the next value. ok is false if it is nested too deep.
func (s *scanner) value(place string, depth int) (v value, ok bool) {
	if depth > maxDepth {
		s.wrong("", "", "it is nested deeper than %d levels", maxDepth)
		return value{}, false
	}
	switch s.peek() {
	case '{':
		return s.object(place, depth)
	case '[':
		return s.list(place, depth)
	case '"':
		return value{sort: str, text: s.string()}, true
	case 'n':
		s.word()
		return value{sort: null}, true
	case 't', 'f':
		return value{sort: boolean, text: s.word()}, true
	}
	return value{sort: number, text: s.word()}, true
}

func (s *scanner) list(place string, depth int) (value, bool) {
	v := value{sort: list}
	for s.at++; s.more(']'); {
		item, ok := s.value(index(place, len(v.items)), depth+1)
		if !ok {
			return value{}, false
		}
		v.items = append(v.items, item)
	}
	return v, true
}

func (s *scanner) object(place string, depth int) (value, bool) {
	v := value{sort: object}
	var seen map[string]bool // the keys, once they are many
	for s.at++; s.more('}'); {
		s.peek()
		key := s.string()
		s.peek()
		s.at++ // the colon
		at := below(place, key)
		item, ok := s.value(at, depth+1)
		if !ok {
			return value{}, false
		}
		if seen == nil && len(v.members) == manyMembers {
			seen = make(map[string]bool)
			for _, m := range v.members {
				seen[m.key] = true
			}
		}
		if seen[key] || seen == nil && v.has(key) {
			s.wrong(at, "", "it is given twice")
			continue
		}
		if seen != nil {
			seen[key] = true
		}
		v.members = append(v.members, member{key, item})
	}
	return v, true
}

func (v *value) has(key string) bool {
	for i := range v.members {
		if v.members[i].key == key {
			return true
		}
	}
	return false
}

// peek passes over white space and returns the byte after it.
func (s *scanner) peek() byte {
	for strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
	return s.text[s.at]
}

// more passes over a comma, or over the end of a list or object.
func (s *scanner) more(end byte) bool {
	switch s.peek() {
	case end:
		s.at++
		return false
	case ',':
		s.at++
	}
	return true
}

// word reads a number, true, false or null.
func (s *scanner) word() string {
	n := strings.IndexAny(s.text[s.at:], ",]} \t\r\n")
	if n < 0 {
		n = len(s.text) - s.at
	}
	s.at += n
	return s.text[s.at-n : s.at]
}

// string reads a string.
func (s *scanner) string() string {
	from, escapes := s.at, false
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			escapes = true
			s.at++
		}
	}
	s.at++
	if !escapes {
		return s.text[from+1 : s.at-1]
	}
	var out string
	if err := json.Unmarshal([]byte(s.text[from:s.at]), &out); err != nil {
		panic("a part of valid JSON is not valid: " + err.Error())
	}
	return out
}
