package mask_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// referenceForms lists the forms of a secret by encoding it with the standard
// library and by replacing, one thing after the other.
func referenceForms(secret string) (exact, loose []string) {
	secret = strings.Trim(secret, " \t\r\n\v\f")
	if len(secret) < 4 || len(secret) > 65536 {
		return nil, nil
	}
	exact = append(exact, secret)
	derived := func(forms ...string) {
		for _, form := range forms {
			if form = strings.Trim(form, " \t\r\n\v\f"); len(form) >= 6 {
				exact = append(exact, form)
			}
		}
	}
	texts := []string{secret}
	if strings.Contains(secret, "\n") {
		unix := regexp.MustCompile("\r*\n").ReplaceAllString(secret, "\n")
		lines := strings.Split(unix, "\n")
		for _, with := range []string{"\n", "\r\n", " ", `\n`, `\r\n`, ""} {
			derived(strings.Join(lines, with))
		}
		derived(regexp.MustCompile("[ \t\r\n\v\f]+").ReplaceAllString(unix, " "))
		for _, line := range lines {
			if line = strings.Trim(line, " \t\r\n\v\f"); worthMasking(line) {
				exact = append(exact, line)
			}
		}
		if squeezed := regexp.MustCompile("[ \t\r\n\v\f]+").ReplaceAllString(secret, ""); len(squeezed) >= 6 {
			loose = append(loose, squeezed)
		}
		texts = append(texts, unix)
	}
	for _, text := range texts {
		wrapped := append(inBase64(text), fmt.Sprintf("%x", text), fmt.Sprintf("%X", text))
		derived(wrapped...)
		for _, form := range wrapped {
			if len(form) >= 40 {
				loose = append(loose, form)
			}
		}
		derived(inJSON(text)...)
		if len(text) > 4096 {
			continue
		}
		derived(inURLs(text)...)
		derived(inXML(text)...)
		derived(inShells(text)...)
		derived(quotedByLanguages(text)...)
	}
	var late []string
	for _, form := range cut(loose) {
		late = append(late, form)
		if len(form) >= 40 {
			late = append(late, form[4:])
		}
	}
	return cut(exact), late
}

// cut makes pieces of 256 bytes that overlap by 8, the last by more.
func cut(forms []string) []string {
	var all []string
	for _, form := range forms {
		for at := 0; ; at += 248 {
			if at+256 >= len(form) {
				all = append(all, form[max(0, len(form)-256):])
				break
			}
			if strings.Trim(form[at:at+256], " \t\r\n\v\f") != "" {
				all = append(all, form[at:at+256])
			}
		}
	}
	return all
}

func worthMasking(line string) bool {
	telling := 0
	for i := range len(line) {
		if c := line[i]; c >= 0x80 || strings.IndexByte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) >= 0 {
			telling++
		}
	}
	return telling >= 4 &&
		!regexp.MustCompile(`^[A-Za-z]{0,7}$`).MatchString(line) &&
		!regexp.MustCompile(`(?s)^-----.*-----$`).MatchString(line) &&
		!regexp.MustCompile(`^["']*[A-Za-z0-9_.-]*["']*:[{\[(|> ]*$`).MatchString(line)
}

// inBase64 encodes the text between neighbours of both extremes: what is alike in
// both depends on the text alone.
func inBase64(text string) []string {
	var all []string
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift := range 3 {
			low, high := strings.Repeat("\x00", shift), strings.Repeat("\xff", shift)
			alike := func(a, b string) string {
				a, b = encoding.EncodeToString([]byte(low+text+a)), encoding.EncodeToString([]byte(high+text+b))
				from := 0
				for from < len(a) && a[from] != b[from] {
					from++
				}
				to := from
				for to < len(a) && a[to] == b[to] {
					to++
				}
				return a[from:to]
			}
			all = append(all, alike("\x00\x00\x00", "\xff\xff\xff"))
			for _, end := range []string{"", "\n", "\r\n"} {
				padded := alike(end, end)
				all = append(all, padded, strings.TrimRight(padded, "="))
			}
		}
	}
	return all
}

func inURLs(text string) []string {
	query := url.QueryEscape(text)
	strict := strings.ReplaceAll(query, "+", "%20")
	component := strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(strict)
	upper := []string{
		query, strict, component, url.PathEscape(text),
		strings.ReplaceAll(strict, "%2F", "/"),
		strings.NewReplacer("~", "%7E", "%2A", "*").Replace(query),
	}
	var all []string
	for _, form := range upper {
		all = append(all, form, regexp.MustCompile("%..").ReplaceAllStringFunc(form, strings.ToLower))
	}
	return all
}

// byRune puts together what a function makes of each rune, and of each byte that
// belongs to none.
func byRune(text string, one func(part string, r rune) string) string {
	var out strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		out.WriteString(one(text[:size], r))
		text = text[size:]
	}
	return out.String()
}

func marshalled(text string, escapeHTML bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	if err := encoder.Encode(text); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(out.String(), "\n"), `"`), `"`)
}

func inJSON(text string) []string {
	script := func(part string, r rune) string {
		if r == '\u2028' || r == '\u2029' {
			return part
		}
		return marshalled(part, false)
	}
	ascii := func(part string, r rune) string {
		if r < 0x7f || r == utf8.RuneError && len(part) == 1 {
			return marshalled(part, false)
		}
		escaped := ""
		for _, unit := range utf16.Encode([]rune{r}) {
			escaped += fmt.Sprintf(`\u%04x`, unit)
		}
		return escaped
	}
	slashed := func(inner func(string, rune) string) func(string, rune) string {
		return func(part string, r rune) string {
			if part == "/" {
				return `\/`
			}
			return inner(part, r)
		}
	}
	return []string{
		marshalled(text, true), marshalled(text, false),
		byRune(text, script), byRune(text, ascii), byRune(text, slashed(script)), byRune(text, slashed(ascii)),
	}
}

func inXML(text string) []string {
	escaped := html.EscapeString(text) // with &#34; and &#39;
	var all []string
	for _, quotes := range []string{`&#34; &#39;`, `&quot; &#39;`, `&quot; &#x27;`, `&quot; &apos;`, `&quot; &#039;`, `&quot; '`, `" '`} {
		double, single, _ := strings.Cut(quotes, " ")
		form := strings.ReplaceAll(strings.ReplaceAll(escaped, "&#34;", double), "&#39;", single)
		all = append(all, form)
		for old, new := range map[string]string{"\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"} {
			form = strings.ReplaceAll(form, old, new)
		}
		all = append(all, form)
	}
	return all
}

func inShells(text string) []string {
	backslash := func(class string) string {
		return regexp.MustCompile(class).ReplaceAllString(text, `\$0`)
	}
	dollar := strings.ReplaceAll(text, `\`, `\\`)
	for letter, plain := range map[string]string{
		"a": "\a", "b": "\b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'",
	} {
		dollar = strings.ReplaceAll(dollar, plain, `\`+letter)
	}
	var ruby strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n':
			ruby.WriteString("'\n'")
		case c < 0x80 && regexp.MustCompile(`[A-Za-z0-9_\-.,:+/@]`).MatchString(string(rune(c))):
			ruby.WriteByte(c)
		default:
			ruby.WriteString(`\` + text[i:i+1])
		}
	}
	return []string{
		strings.ReplaceAll(text, "'", `'\''`), strings.ReplaceAll(text, "'", `'"'"'`),
		backslash("[\\\\\"$`]"),
		backslash("[\t '\"\\\\|&;()<>!{}*[\\]?^$`,]"),
		backslash("[\t '\"\\\\|&;()<>!{}*[\\]?^$`,#~=%]"),
		ruby.String(), octal(dollar, 128), octal(dollar, 256),
	}
}

// octal writes control characters, and all from a number on, in octal.
func octal(text string, from int) string {
	var out strings.Builder
	for i := range len(text) {
		if c := text[i]; c < 32 || c == 127 || int(c) >= from {
			fmt.Fprintf(&out, `\%03o`, c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

func quotedByLanguages(text string) []string {
	trim := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	python := func(quote string, limit int) string {
		text := strings.ReplaceAll(text, `\`, `\\`)
		if quote != "" {
			text = strings.ReplaceAll(text, quote, `\`+quote)
		}
		var out strings.Builder
		for i := range len(text) {
			switch c := text[i]; {
			case c == '\n':
				out.WriteString(`\n`)
			case c == '\r':
				out.WriteString(`\r`)
			case c == '\t':
				out.WriteString(`\t`)
			case c < 32 || c == 127 || int(c) >= limit:
				fmt.Fprintf(&out, `\x%02x`, c)
			default:
				out.WriteByte(c)
			}
		}
		return out.String()
	}
	return []string{
		trim(strconv.Quote(text)), trim(strconv.QuoteToASCII(text)),
		python("", 256), python("'", 256), python("", 128), python("'", 128),
	}
}
