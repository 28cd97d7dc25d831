package mask

import (
	"bytes"
	"slices"
)

const (
	// minDerived is how many bytes a form has at least that isn't the secret or a
	// line of it. Shorter ones would be found in everything.
	minDerived = 6
	// minLoose is how many characters of base64 or hex tools may have wrapped.
	minLoose = 40
	// maxQuoted is how many bytes a secret has at most to be sought in all forms.
	// A larger one is sought as it is, in base64, in hex and in JSON.
	maxQuoted = 4096
	// minWord is how many letters a line that is nothing but letters has at least
	// to be sought alone.
	minWord = 8
	// pieceOverlap is what two pieces of a long form share, so that one covers the
	// other's beginning when a line break stands there.
	pieceOverlap = 8
)

// forms is what is sought of secrets. All have at least 4 bytes and at most
// maxForm, and something else in them than white space.
type forms struct {
	exact  [][]byte
	loose  [][]byte // without white space, to be found in the unspaced view
	unused []string // kinds of forms that were too short

	secret []byte            // whose forms they are
	pieces map[string][]byte // all of them, so that each is there once
}

func (f *forms) empty() bool { return len(f.exact)+len(f.loose) == 0 }

func (f *forms) merge(more forms) {
	f.exact = append(f.exact, more.exact...)
	f.loose = append(f.loose, more.loose...)
}

// add adds exact forms; those of a kind that was derived must be long enough.
func (f *forms) add(kind string, all ...[]byte) {
	for _, form := range all {
		switch form = bytes.Trim(form, white); {
		case bytes.Equal(form, f.secret): // sought already
		case len(form) >= minDerived:
			f.addExact(form)
		case !slices.Contains(f.unused, kind):
			f.unused = append(f.unused, kind)
		}
	}
}

// addExact adds a form of any length.
func (f *forms) addExact(form []byte) {
	for _, piece := range pieces(form) {
		if own, isNew := f.own(piece); isNew {
			f.exact = append(f.exact, own)
		}
	}
}

// own is the one copy that is kept of a piece.
func (f *forms) own(piece []byte) (own []byte, isNew bool) {
	if own, ok := f.pieces[string(piece)]; ok {
		return own, false
	}
	own = bytes.Clone(piece)
	f.pieces[string(own)] = own
	return own, true
}

// addWrapped adds forms that tools wrap.
func (f *forms) addWrapped(kind string, all ...[]byte) {
	f.add(kind, all...)
	for _, form := range all {
		if len(form) >= minLoose {
			f.addLoose(form)
		}
	}
}

// addLoose adds a form to be seen through white space. It is also sought without
// its first four characters, for when white space stands between those.
func (f *forms) addLoose(form []byte) {
	for _, piece := range pieces(form) {
		own, _ := f.own(piece)
		f.loose = append(f.loose, own)
		if len(own) >= minLoose {
			f.loose = append(f.loose, own[anchorBytes:])
		}
	}
}

// pieces cuts a form that is too long into overlapping ones. All are as long as
// can be: the last overlaps the one before it by as much as that takes. Those that
// are blank are left out.
func pieces(form []byte) [][]byte {
	var all [][]byte
	for rest := form; len(rest) > maxForm; rest = rest[maxForm-pieceOverlap:] {
		if piece := rest[:maxForm:maxForm]; len(bytes.Trim(piece, white)) > 0 {
			all = append(all, piece)
		}
	}
	return append(all, form[max(0, len(form)-maxForm):])
}

// formsOf are all forms of a secret, which is trimmed and is not kept.
func formsOf(secret []byte) forms {
	f := forms{secret: secret, pieces: map[string][]byte{}}
	f.addExact(secret)
	texts := [][]byte{secret}
	if lines := linesOf(secret); len(lines) > 1 {
		texts = append(texts, f.addLines(lines))
	}
	for _, text := range texts {
		f.addWrapped("base64", base64Forms(text)...)
		f.addWrapped("hex", hexForms(text)...)
		f.add("JSON", jsonForms(text)...)
		if len(text) > maxQuoted {
			continue
		}
		f.add("URL-encoded", urlForms(text)...)
		f.add("XML", xmlForms(text)...)
		f.add("shell-quoted", shellForms(text)...)
		f.add("Go-quoted", goForms(text)...)
	}
	f.loose = sorted(nil).with(f.loose)
	f.secret, f.pieces = nil, nil
	return f
}

// addLines adds how a secret of several lines is printed otherwise than it is: on
// one line, with other line ends, wrapped, and line by line. It returns the
// secret with "\n" at all line ends.
func (f *forms) addLines(lines [][]byte) []byte {
	join := func(with string) []byte { return bytes.Join(lines, []byte(with)) }
	unix := join("\n")
	f.add("several lines", unix, join("\r\n"))
	f.add("one line", join(" "), join(`\n`), join(`\r\n`), join(""), bytes.Join(bytes.FieldsFunc(unix, isWhiteRune), []byte(" ")))
	for _, line := range lines {
		if line = bytes.Trim(line, white); distinctive(line) {
			f.addExact(line)
		}
	}
	if unspaced := withoutWhite(f.secret); len(unspaced) >= minDerived {
		f.addLoose(unspaced)
	}
	return unix
}

// linesOf splits at line ends, which are "\n" with any number of "\r" before it.
func linesOf(text []byte) [][]byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		if i < len(lines)-1 {
			lines[i] = bytes.TrimRight(line, "\r")
		}
	}
	return lines
}

func withoutWhite(text []byte) []byte {
	var kept []byte
	for _, b := range text {
		if !isWhite(b) {
			kept = append(kept, b)
		}
	}
	return kept
}

// distinctive reports whether a line gives something away when it is printed
// alone. Masking braces, "true" and the armour of keys would make logs
// unreadable and hide nothing.
func distinctive(line []byte) bool {
	letters, others := 0, 0 // digits are others, but count
	digits := 0
	for _, b := range line {
		switch {
		case b|0x20 >= 'a' && b|0x20 <= 'z':
			letters++
		case b >= '0' && b <= '9', b >= 0x80:
			digits++
		default:
			others++
		}
	}
	switch {
	case len(line) < MinSecret || letters+digits < MinSecret:
		return false
	case digits+others == 0 && letters < minWord: // a word
		return false
	case bytes.HasPrefix(line, []byte("-----")) && bytes.HasSuffix(line, []byte("-----")):
		return false
	}
	return !opens(line)
}

// opens reports whether a line is only a name that something follows, such as
// "data": { or stringData:
func opens(line []byte) bool {
	name := bytes.TrimRight(line, "{[(|> ")
	name, ok := bytes.CutSuffix(name, []byte(":"))
	if !ok {
		return false
	}
	name = bytes.Trim(name, "\"'")
	return bytes.IndexFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
	}) < 0
}
