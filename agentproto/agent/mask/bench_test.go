package mask

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask/corpus"
)

const (
	benchBytes = 4 << 20
	benchChunk = 32 << 10 // as the reader of a process has them
)

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
	secrets := corpus.Secrets()
	for _, text := range []struct {
		name string
		data []byte
	}{
		{"plain", corpus.Plain(benchBytes)},
		{"coloured", corpus.Coloured(benchBytes)},
		{"binary", corpus.Binary(benchBytes)},
		{"secrets", secretive(corpus.Plain(benchBytes), secrets)},
	} {
		b.Run(text.name, func(b *testing.B) { benchmark(b, secrets, text.data, benchChunk) })
	}
	b.Run("plain-100-byte-writes", func(b *testing.B) { benchmark(b, secrets, corpus.Plain(benchBytes), 100) })
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
	set, _ := New(corpus.Secrets())
	for _, text := range []struct {
		name string
		data []byte
	}{
		{"plain", corpus.Plain(benchBytes)},
		{"coloured", corpus.Coloured(benchBytes)},
		{"binary", corpus.Binary(benchBytes)},
	} {
		b.Run(text.name, func(b *testing.B) {
			defer cpuSpeed(b, len(text.data))()
			for b.Loop() {
				sink += set.Suspicious(text.data)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	secrets := corpus.Secrets()
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
