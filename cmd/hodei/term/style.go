package term

import (
	"os"
	"strings"

	xterm "golang.org/x/term"
)

// Colour is one of ANSI's 16 colours as an SGR parameter. Text that matters is
// never white, black or dim.
type Colour string

const (
	None    Colour = ""
	Red     Colour = "31"
	Green   Colour = "32"
	Yellow  Colour = "33"
	Blue    Colour = "34"
	Magenta Colour = "35"
	Cyan    Colour = "36"
	Bold    Colour = "1"
	Dim     Colour = "2" // for what stands between lines of more weight
)

// Reset puts a terminal's colours back to normal.
const Reset = "\x1b[0m"

// Style is how one output stream is spoken to.
type Style struct {
	Terminal bool // it is a terminal
	Redraws  bool // and a line of it can be written again in its place
	Colours  bool
	Unicode  bool
	Width    int // columns; 0 when it is no terminal
}

// Detect returns the style for f. choice is auto, always or never, for colours.
// Where nobody may be looking (CI) and where it can't be (TERM=dumb) nothing is
// redrawn.
func Detect(f *os.File, choice string) Style {
	s := Style{Unicode: utf8Locale()}
	if xterm.IsTerminal(int(f.Fd())) {
		dumb := os.Getenv("TERM") == "dumb"
		s.Terminal, s.Redraws = true, !dumb && os.Getenv("CI") == ""
		s.Colours = !dumb && os.Getenv("NO_COLOR") == ""
		s.Width = 80
		if w, _, err := xterm.GetSize(int(f.Fd())); err == nil && w > 0 {
			s.Width = w
		}
	}
	switch choice {
	case "always":
		s.Colours = true
	case "never":
		s.Colours = false
	}
	return s
}

func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true // nothing said: what is common today
}

// Paint returns text in colour c if the style has colours.
func (s Style) Paint(c Colour, text string) string {
	if !s.Colours || c == None || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + Reset
}

var states = map[string]struct {
	glyph, ascii string
	colour       Colour
}{
	"pending":      {"○", ".", Cyan},
	"bound":        {"◐", "b", Cyan},
	"running":      {"▶", ">", Blue + ";" + Bold},
	"succeeded":    {"✓", "+", Green},
	"failed":       {"✗", "x", Red + ";" + Bold},
	"cancelled":    {"⊘", "/", None},
	"timed_out":    {"◷", "t", Yellow},
	"lost":         {"?", "?", Magenta},
	"skipped":      {"-", "-", None},
	"online":       {"✓", "+", Green},
	"requested":    {"○", ".", Cyan},
	"launched":     {"◐", "b", Cyan},
	"disconnected": {"?", "?", Yellow},
	"draining":     {"▽", "v", Yellow},
	"cordoned":     {"⊘", "/", Yellow},
	"terminated":   {"-", "-", None},
}

// Glyph returns the sign of a state.
func (s Style) Glyph(state string) string {
	d, ok := states[state]
	switch {
	case !ok:
		return " "
	case s.Unicode:
		return d.glyph
	}
	return d.ascii
}

// State returns a state as sign and word, in its colour.
func (s Style) State(state string) string {
	return s.Paint(states[state].colour, s.Glyph(state)+" "+state)
}

// Of returns text in the colour of a state.
func (s Style) Of(state, text string) string { return s.Paint(states[state].colour, text) }
