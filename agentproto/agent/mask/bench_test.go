package mask

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	benchBytes  = 4 << 20
	benchChunk  = 32 << 10 // as the reader of a process has them
	benchSecret = 50
)

// someSecrets are random ones of 24 to 63 bytes with characters that every
// encoding changes, so that each has more than 12 forms that differ.
func someSecrets(n int) [][]byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=&<'\"$ "
	random := rand.New(rand.NewPCG(1, 2))
	var all [][]byte
	for range n {
		secret := make([]byte, 24+random.IntN(40))
		for i := range secret {
			secret[i] = letters[random.IntN(len(letters))]
		}
		all = append(all, secret)
	}
	return all
}

// plainText is what builds print: words, numbers, paths, some hashes.
func plainText(n int) []byte {
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

// coloured puts each line in a colour.
func coloured(text []byte) []byte {
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		lines[i] = fmt.Sprintf("\x1b[1;%dm%s\x1b[0m", 31+i%7, line)
	}
	return []byte(strings.Join(lines, "\n"))[:len(text)]
}

func randomBytes(n int) []byte {
	random := rand.NewChaCha8([32]byte{5})
	out := make([]byte, n)
	random.Read(out)
	return out
}

// secretive has a secret, in a form that changes, in each line.
func secretive(text []byte, secrets [][]byte) []byte {
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		secret := secrets[i%len(secrets)]
		switch i % 3 {
		case 0:
			lines[i] = line + string(secret)
		case 1:
			lines[i] = line + base64.StdEncoding.EncodeToString(secret)
		case 2:
			lines[i] = line + hex.EncodeToString(secret)
		}
	}
	return []byte(strings.Join(lines, "\n"))[:len(text)]
}

// BenchmarkWriter is a stream in the chunks that a reader has. BenchmarkFilter is
// its floor: the same text passed over by the filter alone.
func BenchmarkWriter(b *testing.B) {
	secrets := someSecrets(benchSecret)
	for _, text := range []struct {
		name string
		data []byte
	}{
		{"plain", plainText(benchBytes)},
		{"coloured", coloured(plainText(benchBytes))},
		{"binary", randomBytes(benchBytes)},
		{"secrets", secretive(plainText(benchBytes), secrets)},
	} {
		b.Run(text.name, func(b *testing.B) { benchmark(b, secrets, text.data, benchChunk) })
	}
	b.Run("plain-100-byte-writes", func(b *testing.B) { benchmark(b, secrets, plainText(benchBytes), 100) })
}

func benchmark(b *testing.B, secrets [][]byte, data []byte, chunk int) {
	set, _ := New(secrets)
	w := set.Writer(io.Discard)
	w.Write(data[:benchChunk])
	b.ReportAllocs()
	defer cpuSpeed(b, len(data))()
	for b.Loop() {
		for rest := data; len(rest) > 0; {
			n := min(chunk, len(rest))
			w.Write(rest[:n])
			rest = rest[n:]
		}
	}
}

// cpuSpeed reports, beside MB/s, MB a second of CPU time: what a machine that
// others use too would show alone.
func cpuSpeed(b *testing.B, size int) func() {
	b.SetBytes(int64(size))
	before := cpuTime()
	return func() {
		b.ReportMetric(float64(size)*float64(b.N)/1e6/(cpuTime()-before).Seconds(), "cpu-MB/s")
	}
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

var sink int

func BenchmarkFilter(b *testing.B) {
	set, _ := New(someSecrets(benchSecret))
	f := set.now.Load().filter
	for _, text := range []struct {
		name string
		data []byte
	}{
		{"plain", plainText(benchBytes)},
		{"coloured", coloured(plainText(benchBytes))},
		{"binary", randomBytes(benchBytes)},
	} {
		b.Run(text.name, func(b *testing.B) {
			defer cpuSpeed(b, len(text.data))()
			for b.Loop() {
				for at := f.next(text.data, 0); at < len(text.data); at = f.next(text.data, at+1) {
					sink++
				}
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	secrets := someSecrets(benchSecret)
	b.ReportAllocs()
	for b.Loop() {
		New(secrets)
	}
}

// BenchmarkHostile is text that all but matches, everywhere.
func BenchmarkHostile(b *testing.B) {
	long := strings.Repeat("a", 4000)
	for _, row := range []struct {
		name    string
		secrets []string
		text    string
		chunk   int
	}{
		{"near misses of one", []string{"aaaaaaaab"}, long, benchChunk},
		{"near misses of a long one", []string{long + "b"}, long, benchChunk},
		{"the same byte by byte", []string{long + "b"}, long, 1},
		{"matches everywhere", []string{long}, long, benchChunk},
		{"wrapped near misses", []string{strings.Repeat("aaaa\n", 400) + "b"}, "aaaa\n", benchChunk},
		{"white space after them", []string{strings.Repeat("aaaa\n", 400) + "b"}, strings.Repeat("a", 1000) + strings.Repeat(" ", 4000), benchChunk},
		{"ESC", []string{"aaaaaaaab"}, "\x1b", benchChunk},
		{"an OSC without an end", []string{"aaaaaaaab"}, "\x1b]" + strings.Repeat("0;", 100000), benchChunk},
		{"colours between near misses", []string{"aaaaaaaab"}, "a\x1b[m", benchChunk},
		{"many of one beginning", manyOf("ghp_same"), "ghp_same", benchChunk},
	} {
		b.Run(row.name, func(b *testing.B) {
			var secrets [][]byte
			for _, s := range row.secrets {
				secrets = append(secrets, []byte(s))
			}
			benchmark(b, secrets, []byte(strings.Repeat(row.text, 1+(256<<10)/len(row.text))), row.chunk)
		})
	}
}

func manyOf(beginning string) []string {
	var all []string
	for i := range 500 {
		all = append(all, fmt.Sprintf("%s%d", beginning, i))
	}
	return all
}
