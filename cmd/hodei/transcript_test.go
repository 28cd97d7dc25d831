package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

var update = flag.Bool("update", false, "write the golden transcripts anew")

// transcript records what a command writes, line by line in its order; lines on
// standard error begin with 2|. On a terminal both are one stream.
type transcript struct {
	lines    []string
	open     [2]string // a line without its end, by stream
	terminal bool
	waits    chan<- struct{} // told when a line is shown of what is waited for
}

type stream struct {
	*transcript
	number int
}

func (s stream) Write(b []byte) (int, error) {
	at := s.number - 1
	if s.terminal {
		at = 0
	}
	if s.waits != nil && strings.Contains(string(b), ": waiting, ") {
		s.waits <- struct{}{}
	}
	text := s.open[at] + string(b)
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			s.open[at] = text
			return len(b), nil
		}
		s.add(at, line)
		text = rest
	}
}

func (t *transcript) add(at int, line string) {
	t.lines = append(t.lines, strings.TrimRight(map[int]string{0: "", 1: "2| "}[at]+visible(line), " "))
}

// visible shows controls by their pictures, and bytes that are no text in hex.
func visible(line string) string {
	var b strings.Builder
	for len(line) > 0 {
		r, n := utf8.DecodeRuneInString(line)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, line[0])
		case r < 0x20 && r != '\t':
			b.WriteRune('␀' + r)
		default:
			b.WriteRune(r)
		}
		line = line[n:]
	}
	return b.String()
}

func (t *transcript) String() string {
	for at, line := range t.open {
		if line != "" {
			t.add(at, line+"⋯")
		}
	}
	return strings.Join(t.lines, "\n") + "\n"
}

// script is what the commands of a transcript are run with.
type script struct {
	fake  *fake
	dir   string
	style term.Style

	browser error // of opening one
}

// set obeys a line of a transcript that begins with @.
func (s *script) set(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	switch words[0] {
	case "pipe":
		s.style = term.Style{Unicode: true}
	case "terminal": // and its width
		width, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatal(err)
		}
		s.style = term.Style{Terminal: true, Redraws: true, Unicode: true, Width: width}
	case "dumb":
		s.style.Redraws, s.style.Unicode = false, false
	case "colours":
		s.style.Colours = true
	case "old":
		s.fake.old = true
	case "display":
		s.browser = map[string]error{"none": errors.New("there is no display here")}[words[1]]
	case "brief":
		s.fake.brief = words[1] == "on"
	case "stdin": // what is typed, as C writes it
		text, err := strconv.Unquote(`"` + strings.Join(words[1:], " ") + `"`)
		if err != nil {
			t.Fatal(err)
		}
		setInput(t, text)
	case "set": // a variable
		t.Setenv(words[1], strings.Join(words[2:], " "))
	default:
		t.Fatalf("unknown setting %q", line)
	}
}

// setInput makes a text the standard input of what is run next.
func setInput(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdin
	os.Stdin = f
	t.Cleanup(func() {
		os.Stdin = before
		_ = f.Close()
	})
}

func (s *script) run(t *testing.T, command string) string {
	t.Helper()
	tr := &transcript{terminal: s.style.Terminal, waits: s.fake.seen}
	a := &app{stdout: stream{tr, 1}, stderr: stream{tr, 2}, now: func() time.Time { return fakeNow }, detected: func(io.Writer) term.Style { return s.style },
		browser: func(string) error { return s.browser }}
	code := a.run(t.Context(), strings.Fields(command)[1:])
	said := strings.ReplaceAll(strings.ReplaceAll(tr.String(), s.fake.URL, "http://127.0.0.1:8080"), s.dir, "/home/you/.config")
	return fmt.Sprintf("$ %s   «exit %d»\n%s", command, code, said)
}

// What people see: every command of the transcripts is run against a made-up
// cluster at one moment, so that all numbers agree, and says what it said before.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, path := range files {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			got := replay(t, string(want))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s\ngot\n%s\nwant\n%s", path, got, want)
			}
		})
	}
}

// replay runs the commands of a transcript and returns it as it is now.
func replay(t *testing.T, text string) string {
	t.Helper()
	s := &script{fake: isolate(t)}
	s.dir = filepath.Dir(os.Getenv("HODEI_CONFIG_DIR"))
	t.Chdir(s.dir)
	s.set(t, "pipe")
	var b strings.Builder
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.HasPrefix(line, "@ "):
			s.set(t, line[2:])
		case strings.HasPrefix(line, "@file "):
			name, body := strings.TrimPrefix(line, "@file "), ""
			fmt.Fprintln(&b, line)
			for i++; strings.HasPrefix(lines[i], "  "); i++ {
				body += lines[i][2:] + "\n"
				fmt.Fprintln(&b, lines[i])
			}
			if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
			i--
			continue
		case strings.HasPrefix(line, "$ "):
			command, _, _ := strings.Cut(line[2:], "   «")
			b.WriteString(s.run(t, command) + "\n")
			continue
		case !strings.HasPrefix(line, "#"):
			continue
		}
		fmt.Fprintln(&b, line)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
