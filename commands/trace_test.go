package commands_test

import (
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/commands"
)

func TestTraceparent(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, test := range []struct{ name, text, want string }{
		{"version 00", good, good},
		{"a later version is read as far as it is known", "cc" + good[2:] + "-what-comes", good},
		{"a later version without more", "01" + good[2:], good},
		{"flags are kept", good[:53] + "a7", good[:53] + "a7"},
		{"nothing", "", ""},
		{"version 00 with more", good + "-x", ""},
		{"a later version with more that is not set off", "cc" + good[2:] + "x", ""},
		{"version ff", "ff" + good[2:], ""},
		{"upper case", strings.ToUpper(good), ""},
		{"no trace", "00-" + strings.Repeat("0", 32) + good[35:], ""},
		{"no span", good[:36] + strings.Repeat("0", 16) + good[52:], ""},
		{"too short", good[:54], ""},
		{"no dashes", strings.ReplaceAll(good, "-", "0"), ""},
		{"not hexadecimal", "00-" + strings.Repeat("g", 32) + good[35:], ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := commands.FormatTraceparent(commands.ParseTraceparent(test.text)); got != test.want {
				t.Errorf("read %q, want %q", got, test.want)
			}
		})
	}
}
