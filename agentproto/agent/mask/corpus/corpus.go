// Package corpus has secrets, and texts without them, to measure masking with. They
// are the same in every run.
package corpus

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

const secrets = 50

// Secrets are 50 random ones of 24 to 63 bytes with characters that every encoding
// changes, so that each has more than 12 forms that differ.
func Secrets() [][]byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=&<'\"$ "
	random := rand.New(rand.NewPCG(1, 2))
	var all [][]byte
	for range secrets {
		secret := make([]byte, 24+random.IntN(40))
		for i := range secret {
			secret[i] = letters[random.IntN(len(letters))]
		}
		all = append(all, secret)
	}
	return all
}

// Plain is n bytes of what builds print: words, numbers, paths, some hashes.
func Plain(n int) []byte {
	words := strings.Fields("the building of package github.com/some/where/pkg took 0.31s ok PASS === RUN " +
		"TestThatNothingIsLost --- downloading https://proxy.example/mod/@v/v1.2.3.zip [12/96] cc -O2 -c main.c error: " +
		"expected a declaration; warning 2024-05-01T12:00:00Z INFO request served status=200 took=1.2ms id=8f14e45fceea167a5a36")
	random := rand.New(rand.NewPCG(3, 4))
	var out strings.Builder
	for column := 0; out.Len() < n; {
		word := words[random.IntN(len(words))]
		out.WriteString(word)
		if column += len(word) + 1; column > 90 {
			out.WriteByte('\n')
			column = 0
		} else {
			out.WriteByte(' ')
		}
	}
	return []byte(out.String()[:n])
}

// Coloured is n bytes of the same, each line in a colour.
func Coloured(n int) []byte {
	lines := strings.Split(string(Plain(n)), "\n")
	for i, line := range lines {
		lines[i] = fmt.Sprintf("\x1b[1;%dm%s\x1b[0m", 31+i%7, line)
	}
	return []byte(strings.Join(lines, "\n"))[:n]
}

// Binary is n bytes at random.
func Binary(n int) []byte {
	random := rand.NewChaCha8([32]byte{5})
	out := make([]byte, n)
	_, _ = random.Read(out) // it never fails
	return out
}
