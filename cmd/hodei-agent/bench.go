package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
	"github.com/hodei-jobs/hodei/agentproto/agent/mask/corpus"
)

const (
	benchCommand = "bench"
	benchText    = 4 << 20  // bytes of each text
	benchChunk   = 32 << 10 // bytes of a write, as the reader of a process has them
	benchRounds  = 20
	maxRounds    = 10_000
)

// bench measures masking with 50 secrets, in MB of 2^20 bytes a second, beside its
// floor: the filter alone, on the same plain text. Rounds of each take turns, and the
// best of each is told, so that what others do on the machine matters little. The
// argument is the number of rounds.
func bench(args []string, stdout, stderr io.Writer) int {
	rounds := benchRounds
	if len(args) > 0 {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 || n > maxRounds || len(args) > 1 {
			fmt.Fprintf(stderr, "hodei-agent bench: give a number of rounds, 1 to %d\n", maxRounds)
			return exitUsage
		}
		rounds = n
	}
	set, _ := mask.New(corpus.Secrets())
	plain := corpus.Plain(benchText)
	kinds := []struct {
		name string
		text []byte
		do   func([]byte)
	}{
		{"floor_filter_mb_per_s", plain, func(chunk []byte) { set.Suspicious(chunk) }},
		{"mask_mb_per_s", plain, written(set)},
		{"mask_coloured_mb_per_s", corpus.Coloured(benchText), written(set)},
		{"mask_binary_mb_per_s", corpus.Binary(benchText), written(set)},
	}
	figures := map[string]float64{}
	for range rounds {
		for _, k := range kinds {
			figures[k.name] = max(figures[k.name], speed(k.text, k.do))
		}
	}
	if err := json.NewEncoder(stdout).Encode(figures); err != nil {
		fmt.Fprintf(stderr, "hodei-agent bench: %v\n", err)
		return exitFailed
	}
	return exitDone
}

// written writes to a masked stream that nobody reads.
func written(set *mask.Set) func([]byte) {
	w := set.Writer(io.Discard)
	return func(chunk []byte) { _, _ = w.Write(chunk) } // what it writes to takes all
}

// speed is how many MB a second a text takes, chunk by chunk.
func speed(text []byte, do func([]byte)) float64 {
	begun := time.Now()
	for rest := text; len(rest) > 0; {
		n := min(benchChunk, len(rest))
		do(rest[:n])
		rest = rest[n:]
	}
	return float64(len(text)) / (1 << 20) / time.Since(begun).Seconds()
}
