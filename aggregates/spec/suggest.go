package spec

import "fmt"

// elsewhere holds what other systems call things, or where they put them.
var elsewhere = map[string]string{
	"cmd": "command", "script": "command", "run": "command", "commands": "steps", "args": "argv",
	"environment": "env", "variables": "env", "queue": "pool", "tags": "requires", "node_selector": "requires",
	"cpu": "resources.cpu", "memory": "resources.memory", "mem": "resources.memory", "disk": "resources.disk",
	"time_limit": "timeout", "retry": "retries", "max_retries": "retries.max", "grace": "cancel.grace", "signal": "cancel.signal",
}

// unknown says that a field is unknown, and which was probably meant.
func unknown(key string, known []string, top bool) string {
	meant := nearest(key, known)
	if meant == "" && top {
		meant = elsewhere[key]
	}
	if meant == "" {
		return fmt.Sprintf("unknown field %s", quote(key))
	}
	return fmt.Sprintf("unknown field %s, did you mean %q?", quote(key), meant)
}

// nearest returns the known word that is at most a third of the word away, two
// letters at least; the first in order if several are as near; "" if none is.
func nearest(word string, known []string) string {
	if len(word) > MaxName {
		return ""
	}
	best, found := max(2, len(word)/3)+1, ""
	for _, k := range known {
		if n := distance(word, k); n < best && n < len(k) {
			best, found = n, k
		}
	}
	return found
}

// distance is the number of letters to insert, delete, replace, or swap with
// their neighbour, that makes b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
