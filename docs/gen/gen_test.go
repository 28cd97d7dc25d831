package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hodei-jobs/hodei/cmd/hodei/jobfile"
)

const root = "../.."

func TestPagesAreFresh(t *testing.T) {
	for _, page := range pages {
		t.Run(page.path, func(t *testing.T) {
			if page.path == commandLinePage && testing.Short() {
				t.Skip("hodei is built for it: left out of the short run")
			}
			want, err := page.make(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(root, page.path))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("%s is stale; run: go run ./docs/gen", page.path)
			}
		})
	}
}

var raised = regexp.MustCompile(`Raised (by|at|with) `)

// An event without a word about when it is raised would leave readers guessing.
func TestEveryEventSaysWhenItIsRaised(t *testing.T) {
	for _, chapter := range chapters {
		text, err := os.ReadFile(filepath.Join(root, dictionary, chapter.file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages(string(text)) {
			if isEvent(m) && !raised.MatchString(m.comment) {
				t.Errorf("%s does not say what raises it: %s", m.name, m.comment)
			}
		}
	}
}

// Each file of the dictionary has a chapter.
func TestNoFileOfTheDictionaryIsLeftOut(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, dictionary, "*.proto"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(chapters)+1 { // and common.proto
		t.Errorf("%d files in %s, %d chapters and the common file in the page", len(files), dictionary, len(chapters))
	}
}

func TestMessagesAreReadWithTheirComments(t *testing.T) {
	got := messages(`
syntax = "proto3";

// Bound: a thing was bound,
// to another. Raised by Bind.
message Bound {
  uint32 attempt = 1;
  // Above.
  repeated Pair pairs = 2; // and beside
}

// Empty: nothing is in it. Raised by Clear.
message Empty {}

enum Phase {
  PHASE_UNSPECIFIED = 0;
  PHASE_LAST = 1;    // the end
}
`)
	want := []message{
		{"Bound", "Bound: a thing was bound, to another. Raised by Bind.", []field{{"attempt", "uint32", ""}, {"pairs", "repeated Pair", "Above. and beside"}}},
		{"Empty", "Empty: nothing is in it. Raised by Clear.", nil},
		{"Phase", "", []field{{"PHASE_UNSPECIFIED", "", ""}, {"PHASE_LAST", "", "the end"}}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(message{}, field{})); diff != "" {
		t.Error(diff)
	}
}

func TestValuesAreReadable(t *testing.T) {
	tests := []struct{ source, want string }{
		{"4096", "4,096"},
		{"12", "12"},
		{"200_000", "200,000"},
		{"1 << 16", "65,536"},
		{"4 << 20", "4 Mi"},
		{"1<<20 - 1", "1 Mi - 1"},
		{"30 * time.Second", "30 s"},
		{"90 * 24 * time.Hour", "90 days"},
		{"10 * 365 * 24 * time.Hour", "10 years"},
		{"30 * Day", "30 days"},
		{"Day", "1 day"},
		{"10 * Second", "10 s"},
		{"Duration(time.Second)", "1 s"},
		{"2*sse.Heartbeat + 5*time.Second", "2*sse.Heartbeat + 5 s"},
		{"spec.MaxSecretValue + 256", "spec.MaxSecretValue + 256"},
		{"time.Second", "1 s"},
	}
	for _, test := range tests {
		if got := readable(test.source); got != test.want {
			t.Errorf("readable(%q) = %q, want %q", test.source, got, test.want)
		}
	}
}

// A limit that users meet is one there is: its number is not written twice.
func TestALimitThatIsNotThereIsNoticed(t *testing.T) {
	if _, err := limitsMet(map[string]string{}); err == nil {
		t.Error("a page was made without the values")
	}
}

// The example of a job file is one that is accepted.
func TestTheExampleOfAJobFileIsAccepted(t *testing.T) {
	_, rest, _ := strings.Cut(jobFileIntro, "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is none")
	}
	if _, err := jobfile.Parse("example", []byte(example)); err != nil {
		t.Error(err)
	}
}
