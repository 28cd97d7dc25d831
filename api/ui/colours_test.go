package ui

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// palette are the colours in which each state is written: light and dark. They were
// computed to tell apart in every kind of sight; changing one changes that.
var palette = map[string][2]string{
	"pending": {"1b1b11", "88857b"}, "bound": {"113e53", "d6fefd"}, "running": {"3659e2", "609efa"}, "succeeded": {"257e59", "4ceba2"},
	"failed": {"cc3d0f", "e45638"}, "cancelled": {"474844", "a5b6b5"}, "timed_out": {"583200", "f8ae14"}, "lost": {"9e5980", "ad71a3"},
	"text": {"1b1f26", "e6eaf0"}, "muted": {"5a616d", "9ba5b3"}, "link": {"0a58ca", "7fb4ff"},
}

// backs are what they are written on.
var backs = [2][2]string{{"ffffff", "f5f7fa"}, {"0e1217", "171c23"}}

const leastContrast = 4.5 // of text, as WCAG 2.2 AA asks

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(colour, 16, 24)
	if err != nil {
		t.Fatal(err)
	}
	part := func(v uint64) float64 {
		x := float64(v&255) / 255
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	return 0.2126*part(n>>16) + 0.7152*part(n>>8) + 0.0722*part(n)
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestColoursAreThoseOfThePaletteAndCanBeRead(t *testing.T) {
	css, err := os.ReadFile("web/src/styles/base.css")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range palette {
		m := regexp.MustCompile(fmt.Sprintf(`--%s: light-dark\(#(\w{6}), #(\w{6})\);`, name)).FindSubmatch(css)
		if m == nil {
			t.Errorf("there is no --%s", name)
			continue
		}
		for theme := range want {
			colour := string(m[theme+1])
			if colour != want[theme] {
				t.Errorf("--%s is #%s, not #%s", name, colour, want[theme])
			}
			for _, back := range backs[theme] {
				if c := contrast(t, colour, back); c < leastContrast {
					t.Errorf("--%s: #%s on #%s has a contrast of %.2f", name, colour, back, c)
				}
			}
		}
	}
}
