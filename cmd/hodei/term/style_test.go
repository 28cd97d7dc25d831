package term

import (
	"os"
	"testing"

	"github.com/creack/pty"
)

// How a stream is spoken to follows from what it is, from the environment and
// from what was asked for.
func TestDetect(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = master.Close(), slave.Close() }()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 132}); err != nil {
		t.Fatal(err)
	}
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), pipe.Close() }()
	type vars = map[string]string
	for _, row := range []struct {
		name   string
		f      *os.File
		choice string
		vars   vars
		want   Style
	}{
		{"a terminal", slave, "auto", nil, Style{Terminal: true, Redraws: true, Colours: true, Unicode: true, Width: 132}},
		{"a terminal of a person who wants no colour", slave, "auto", vars{"NO_COLOR": "1"}, Style{Terminal: true, Redraws: true, Unicode: true, Width: 132}},
		{"one who asks for none", slave, "never", nil, Style{Terminal: true, Redraws: true, Unicode: true, Width: 132}},
		{"one who asks for it in spite of that", slave, "always", vars{"NO_COLOR": "1"}, Style{Terminal: true, Redraws: true, Colours: true, Unicode: true, Width: 132}},
		{"a terminal that can only print", slave, "auto", vars{"TERM": "dumb"}, Style{Terminal: true, Unicode: true, Width: 132}},
		{"the terminal of a build", slave, "auto", vars{"CI": "true"}, Style{Terminal: true, Colours: true, Unicode: true, Width: 132}},
		{"a terminal without UTF-8", slave, "auto", vars{"LC_ALL": "C"}, Style{Terminal: true, Redraws: true, Colours: true, Width: 132}},
		{"a terminal of which no language is known", slave, "auto", vars{"LC_ALL": ""}, Style{Terminal: true, Redraws: true, Colours: true, Unicode: true, Width: 132}},
		{"a pipe", pipe, "auto", nil, Style{Unicode: true}},
		{"a pipe that wants colours", pipe, "always", nil, Style{Unicode: true, Colours: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for name, value := range (vars{"TERM": "xterm", "NO_COLOR": "", "CI": "", "LC_ALL": "C.UTF-8", "LC_CTYPE": "", "LANG": ""}) {
				t.Setenv(name, value)
			}
			for name, value := range row.vars {
				t.Setenv(name, value)
			}
			if got := Detect(row.f, row.choice); got != row.want {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

func TestStates(t *testing.T) {
	coloured, plain, ascii := Style{Unicode: true, Colours: true}, Style{Unicode: true}, Style{}
	for _, row := range []struct {
		state, coloured, plain, ascii string
	}{
		{"pending", "\x1b[36m○ pending\x1b[0m", "○ pending", ". pending"},
		{"bound", "\x1b[36m◐ bound\x1b[0m", "◐ bound", "b bound"},
		{"running", "\x1b[34;1m▶ running\x1b[0m", "▶ running", "> running"},
		{"succeeded", "\x1b[32m✓ succeeded\x1b[0m", "✓ succeeded", "+ succeeded"},
		{"failed", "\x1b[31;1m✗ failed\x1b[0m", "✗ failed", "x failed"},
		{"cancelled", "⊘ cancelled", "⊘ cancelled", "/ cancelled"},
		{"timed_out", "\x1b[33m◷ timed_out\x1b[0m", "◷ timed_out", "t timed_out"},
		{"lost", "\x1b[35m? lost\x1b[0m", "? lost", "? lost"},
		{"a state of a later version", "  a state of a later version", "  a state of a later version", "  a state of a later version"},
	} {
		for style, want := range map[Style]string{coloured: row.coloured, plain: row.plain, ascii: row.ascii} {
			if got := style.State(row.state); got != want {
				t.Errorf("%s: got %q, want %q", row.state, got, want)
			}
		}
	}
}
