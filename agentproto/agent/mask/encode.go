package mask

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// base64Forms are the secret in base64 with both alphabets, wherever in what is
// encoded it stands: in each of three shifts, the characters that depend on
// nothing else; and with all that follows if it is the end, or a line end is.
func base64Forms(secret []byte) [][]byte {
	skip := [3]int{0, 2, 3} // characters that what stands before has a part in
	var all [][]byte
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift, from := range skip {
			for _, end := range []string{"", "\n", "\r\n"} {
				text := make([]byte, shift, shift+len(secret)+len(end))
				text = append(append(text, secret...), end...)
				encoded := encoding.AppendEncode(nil, text)[from:]
				bare := (len(text)*8+5)/6 - from
				if end == "" {
					all = append(all, encoded[:len(text)*8/6-from])
				}
				all = append(all, encoded[:bare], encoded)
			}
		}
	}
	return all
}

func hexForms(secret []byte) [][]byte {
	lower := hex.EncodeToString(secret)
	return [][]byte{[]byte(lower), []byte(strings.ToUpper(lower))}
}

const (
	alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	lowerHex     = "0123456789abcdef"
	upperHex     = "0123456789ABCDEF"
)

// urlForms are the styles of URL encoding: what each leaves as it is, and what it
// makes of a space.
func urlForms(secret []byte) [][]byte {
	var all [][]byte
	for _, style := range []struct{ keep, space string }{
		{"-_.~", "+"},         // queries
		{"-_.~$&+=:@", "%20"}, // segments of paths
		{"-_.~", "%20"},
		{"-_.~/", "%20"},     // Python's quote
		{"-_.~!'()*", "%20"}, // encodeURIComponent
		{"-_.*", "+"},        // forms of HTML
	} {
		for _, digits := range []string{upperHex, lowerHex} {
			all = append(all, each(secret, func(out []byte, b byte) []byte {
				switch {
				case b == ' ':
					return append(out, style.space...)
				case strings.IndexByte(alphanumeric, b) >= 0 || strings.IndexByte(style.keep, b) >= 0:
					return append(out, b)
				}
				return append(out, '%', digits[b>>4], digits[b&15])
			}))
		}
	}
	return all
}

// each puts together what a function makes of each byte.
func each(text []byte, write func(out []byte, b byte) []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/4)
	for _, b := range text {
		out = write(out, b)
	}
	return out
}

// replaced puts words in place of bytes, given in turn.
func replaced(text []byte, pairs ...string) []byte {
	return each(text, func(out []byte, b byte) []byte {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i][0] == b {
				return append(out, pairs[i+1]...)
			}
		}
		return append(out, b)
	})
}

// xmlForms differ in what becomes of quotation marks, and of white space.
func xmlForms(secret []byte) [][]byte {
	var all [][]byte
	for _, quotes := range [][2]string{
		{"&#34;", "&#39;"}, {"&quot;", "&#39;"}, {"&quot;", "&#x27;"}, {"&quot;", "&apos;"}, {"&quot;", "&#039;"},
		{"&quot;", "'"}, {`"`, "'"},
	} {
		pairs := []string{"&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, quotes[0], "'", quotes[1]}
		all = append(all, replaced(secret, pairs...),
			replaced(secret, append(pairs, "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")...))
	}
	return all
}

// shellForms are what shells and tools print to be read by a shell again, without
// the quotation marks around the whole.
func shellForms(secret []byte) [][]byte {
	all := [][]byte{
		replaced(secret, "'", `'\''`),
		replaced(secret, "'", `'"'"'`),
		replaced(secret, `\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`"),
	}
	for _, special := range []string{
		"\t '\"\\|&;()<>!{}*[]?^$`,", // bash's printf %q
		"\t '\"\\|&;()<>!{}*[]?^$`,#~=%",
	} {
		all = append(all, each(secret, func(out []byte, b byte) []byte {
			if strings.IndexByte(special, b) >= 0 {
				out = append(out, '\\')
			}
			return append(out, b)
		}))
	}
	plain := func(b byte) bool { return strings.IndexByte(alphanumeric+"_-.,:+/@", b) >= 0 }
	all = append(all, each(secret, func(out []byte, b byte) []byte { // Ruby's shellescape
		switch {
		case b == '\n':
			return append(out, "'\n'"...)
		case !plain(b):
			out = append(out, '\\')
		}
		return append(out, b)
	}))
	return append(all, dollarQuoted(secret, false), dollarQuoted(secret, true))
}

// dollarQuoted is what stands in $'…', as bash -x prints what can't be seen; with
// or without letters beyond ASCII.
func dollarQuoted(secret []byte, ascii bool) []byte {
	const named, names = "\a\b\x1b\f\n\r\t\v\\'", `abEfnrtv\'`
	return each(secret, func(out []byte, b byte) []byte {
		if at := strings.IndexByte(named, b); at >= 0 {
			return append(out, '\\', names[at])
		}
		if b < ' ' || b == 0x7f || b >= 0x80 && ascii {
			return append(out, '\\', '0'+b>>6, '0'+b>>3&7, '0'+b&7)
		}
		return append(out, b)
	})
}
