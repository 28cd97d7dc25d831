package mask_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// wrap breaks lines as base64 and openssl do.
func wrap(text string, width int, with string) string {
	var out strings.Builder
	for len(text) > width {
		out.WriteString(text[:width] + with)
		text = text[width:]
	}
	return out.String() + text
}

const (
	oneLine = `p@ss/w+rd "q" <&>é $'x' y{z}`
	key     = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n7dHNQ/x+q8aZ\n-----END KEY-----"
)

// encoded are forms as tools make them.
func encoded() map[string]string {
	asJSON, _ := json.Marshal(oneLine)
	long := base64.StdEncoding.EncodeToString([]byte("ab" + key + "\n"))
	return map[string]string{
		"raw":                   oneLine,
		"base64":                base64.StdEncoding.EncodeToString([]byte(oneLine)),
		"base64, second shift":  base64.StdEncoding.EncodeToString([]byte("u" + oneLine)),
		"base64, third shift":   base64.StdEncoding.EncodeToString([]byte("u:" + oneLine)),
		"base64, without =":     base64.RawStdEncoding.EncodeToString([]byte(oneLine)),
		"base64 of a line":      base64.StdEncoding.EncodeToString([]byte(oneLine + "\n")),
		"base64 for URLs":       base64.URLEncoding.EncodeToString([]byte("u" + oneLine)),
		"hex":                   hex.EncodeToString([]byte(oneLine)),
		"hex, upper case":       fmt.Sprintf("%X", oneLine),
		"a query of a URL":      url.QueryEscape(oneLine),
		"a path of a URL":       url.PathEscape(oneLine),
		"JSON":                  string(asJSON),
		"XML":                   html.EscapeString(oneLine),
		"single quotes":         "'" + strings.ReplaceAll(oneLine, "'", `'\''`) + "'",
		"printf %q":             `p@ss/w+rd\ \"q\"\ \<\&\>é\ \$\'x\'\ y\{z\}`,
		"Go":                    strconv.Quote(oneLine),
		"Go in ASCII":           strconv.QuoteToASCII(oneLine),
		"several lines":         key,
		"with CRLF":             strings.ReplaceAll(key, "\n", "\r\n"),
		"on one line":           strings.ReplaceAll(key, "\n", " "),
		"with \\n":              strings.ReplaceAll(key, "\n", `\n`),
		"with lines joined":     strings.ReplaceAll(key, "\n", ""),
		"with CR CR LF":         strings.ReplaceAll(key, "\n", "\r\r\n"),
		"a line":                "MIIEvQIBADANBgkqhkiG9w0BAQ",
		"bash -x":               `$'` + strings.ReplaceAll(key, "\n", `\n`) + `'`,
		"wrapped base64":        wrap(long, 76, "\n"),
		"wrapped and coloured":  wrap(long, 64, "\x1b[m\n\x1b[32m"),
		"wrapped hex":           wrap(hex.EncodeToString([]byte(oneLine)), 48, " \r\n"),
		"colours":               "\x1b[1m" + wrap(oneLine, 5, "\x1b[38;5;12m"),
		"a link":                wrap(oneLine, 9, "\x1b]8;;http://example\x1b\\"),
		"a title of a terminal": "\x1b]0;" + oneLine + "\x07",
	}
}

// Every form, cut at each byte, and written in chunks of each size: what is out
// at any moment is what the reference says.
func TestEveryFormEverySplitEveryChunk(t *testing.T) {
	set, r := setOf(oneLine, key), newReference(oneLine, key)
	for name, form := range encoded() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "got: " + form + ", done"
			shown := make([]string, len(text)+1)
			for at := range shown {
				shown[at] = r.shown(text[:at], false)
			}
			end := r.shown(text, true)
			if !strings.Contains(end, "***") || strings.Contains(end, form) {
				t.Fatalf("the form is not known: %q", end)
			}
			check := func(size func(at int) int) {
				var out bytes.Buffer
				w := set.Writer(&out)
				for at := 0; at < len(text); {
					next := min(len(text), at+size(at))
					w.Write([]byte(text[at:next]))
					if at = next; out.String() != shown[at] {
						t.Fatalf("after %q\ngot  %q\nwant %q", text[:at], out.String(), shown[at])
					}
				}
				w.Close()
				if out.String() != end {
					t.Fatalf("at the end\ngot  %q\nwant %q", out.String(), end)
				}
			}
			step := 1
			if testing.Short() {
				step = 5
			}
			for split := 1; split <= len(text); split += step {
				check(func(at int) int {
					if at == 0 {
						return split
					}
					return len(text)
				})
			}
			for chunk := 1; chunk <= 16; chunk += step {
				check(func(int) int { return chunk })
			}
		})
	}
}

// What is longer than a form may be is masked piece by piece, without a gap.
func TestALongSecretHasNoGaps(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	secret := make([]byte, 1500)
	for i := range secret {
		secret[i] = byte(random.IntN(256))
	}
	secret[0], secret[1499] = 'a', 'z' // nothing to trim
	pem := wrap(base64.StdEncoding.EncodeToString(secret), 64, "\n")
	for name, row := range map[string][2]string{
		"raw":             {string(secret), string(secret)},
		"base64":          {string(secret), base64.StdEncoding.EncodeToString(secret)},
		"wrapped base64":  {string(secret), wrap(base64.StdEncoding.EncodeToString(secret), 76, "\r\n")},
		"hex":             {string(secret), hex.EncodeToString(secret)},
		"wrapped hex":     {string(secret), wrap(hex.EncodeToString(secret), 60, "\n")},
		"a key":           {pem, pem},
		"a key, wrapped":  {pem, wrap(strings.ReplaceAll(pem, "\n", ""), 50, "\n  ")},
		"a key in base64": {pem, wrap(base64.StdEncoding.EncodeToString([]byte(pem)), 70, "\n")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := setOf(row[0]).Text("<" + row[1] + ">"); got != "<***>" {
				t.Errorf("got %q", got)
			}
		})
	}
	compare(t, []string{pem}, []string{"<", pem[:700], pem[700:], "> ", wrap(pem, 30, "\n")})
}

// Lines that are printed alone: those that tell something, and those without which
// a log would be unreadable.
func TestLines(t *testing.T) {
	for line, masked := range map[string]bool{
		"hunter2":                         true,
		"DB_PASS=hunter2":                 true,
		`"private_key_id": "8f14e45fcee"`: true,
		"correcthorse":                    true,
		"1234":                            true,
		"пароль":                          true,
		"{":                               false,
		"  ]},":                           false,
		"abc":                             false,
		"true":                            false,
		"default":                         false,
		"--------":                        false,
		"-----BEGIN RSA PRIVATE KEY-----": false,
		`"data": {`:                       false,
		"stringData:":                     false,
	} {
		got := setOf("first-line-1\n" + line + "\nlast-line-1").Text("<" + strings.TrimSpace(line) + ">")
		if strings.Contains(got, "***") != masked {
			t.Errorf("%q alone is shown as %q", line, got)
		}
	}
}

// White space within the first four characters of a wrapped form leaves those.
func TestAFormWrappedInItsFirstFourCharacters(t *testing.T) {
	form := base64.StdEncoding.EncodeToString([]byte("a secret of more than thirty bytes"))
	for at := 1; at < len(form); at++ {
		got := setOf("a secret of more than thirty bytes").Text(form[:at] + "\n" + form[at:])
		want := "***"
		if at < 4 {
			want = form[:at] + "\n" + form[at:4] + "***"
		}
		if got != want {
			t.Errorf("a line break after %d: got %q, want %q", at, got, want)
		}
	}
}
