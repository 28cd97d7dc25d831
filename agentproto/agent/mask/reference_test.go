package mask_test

import (
	"regexp"
	"slices"
	"strings"
)

// reference masks in the slowest and most obvious way: it looks at the whole
// text, tries every form at every place of every view, and keeps a flag for each
// byte. It has its own list of forms (reference_forms_test.go) and its own reading
// of control sequences, and nothing in common with what it checks.
type reference struct{ exact, loose []string }

func newReference(secrets ...string) *reference {
	r := &reference{}
	for _, secret := range secrets {
		exact, loose := referenceForms(secret)
		r.exact = append(r.exact, exact...)
		r.loose = append(r.loose, loose...)
	}
	for _, list := range []*[]string{&r.exact, &r.loose} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return r
}

// sequencePattern is a control sequence, whole or broken off.
var sequencePattern = regexp.MustCompile(`(?s)^\x1b(?:` +
	`\[[\x20-\x3f]*[\x40-\x7e]?` +
	`|[\]PX^_][^\x07\x1b\n]*\x07?` +
	`|[\x20-\x2f]+[\x30-\x7e]?` +
	`|[\x30-\x7e]` +
	`)?`)

// plainPlaces are the places of a text that are in no control sequence.
func plainPlaces(text string) []int {
	var places []int
	for at := 0; at < len(text); {
		if sequence := sequencePattern.FindString(text[at:]); sequence != "" {
			at += min(len(sequence), 4096)
			continue
		}
		places = append(places, at)
		at++
	}
	return places
}

func isSpace(b byte) bool { return strings.IndexByte(" \t\r\n\v\f", b) >= 0 }

type cover struct{ start, end int }

// covers are all matches in the beginning of a stream, in the order of their
// starts, and the place from which on nothing can be said yet.
func (r *reference) covers(text string, ended bool) (covers []cover, hold int) {
	hold = len(text)
	try := func(forms []string, places []int, begins func(at, length int) bool) {
		by := map[byte][]string{} // the first byte, so that fuzzing gets anywhere
		for _, form := range forms {
			by[form[0]] = append(by[form[0]], form)
		}
		for at, start := range places {
			for _, form := range by[text[start]] {
				length := 0
				for length < len(form) && at+length < len(places) && text[places[at+length]] == form[length] {
					length++
				}
				switch {
				case !begins(at, length):
				case length == len(form):
					if end := places[at+length-1] + 1; end-start-length <= 4096 {
						covers = append(covers, cover{start, end})
					}
				case at+length == len(places):
					if !ended && len(text)-start-length <= 4096 {
						hold = min(hold, start)
					}
				}
			}
		}
	}

	var raw, unspaced []int
	for at := range len(text) {
		raw = append(raw, at)
	}
	plain := plainPlaces(text)
	order := map[int]int{} // of each place of the plain view, which it is
	for i, at := range plain {
		order[at] = i
		if !isSpace(text[at]) {
			unspaced = append(unspaced, at)
		}
	}
	anywhere := func(int, int) bool { return true }
	try(r.exact, raw, anywhere)
	try(r.exact, plain, anywhere)
	try(r.loose, unspaced, func(at, length int) bool {
		for i := 1; i < min(4, length); i++ {
			if order[unspaced[at+i]] != order[unspaced[at]]+i {
				return false
			}
		}
		return length >= 4 || order[unspaced[at]]+length == len(plain)
	})
	slices.SortFunc(covers, func(a, b cover) int { return a.start - b.start })
	return covers, hold
}

// shown is what must be out once the text was written; all of it at the end.
func (r *reference) shown(text string, ended bool) string {
	covers, hold := r.covers(text, ended)
	covered, marked := make([]bool, len(text)), make([]bool, len(text))
	end := 0
	for _, c := range covers {
		if c.start >= hold {
			break // and what overlaps it is seen again later
		}
		marked[c.start] = marked[c.start] || c.start >= end
		for at := c.start; at < c.end; at++ {
			covered[at] = true
		}
		end = max(end, c.end)
	}
	var out strings.Builder
	for at := range hold {
		if marked[at] {
			out.WriteString("***")
		}
		if !covered[at] {
			out.WriteByte(text[at])
		}
	}
	return out.String()
}
