package spec

import "fmt"

// elsewhere holds what other systems call things, or where they put them.
var elsewhere = map[string]string{
	"cmd": "command", "script": "command", "run": "command", "commands": "steps", "args": "argv",
	"environment": "env", "variables": "env", "queue": "pool", "tags": "requires", "node_selector": "requires",
	"cpu": "resources.cpu", "memory": "resources.memory", "mem": "resources.memory", "disk": "resources.disk",
	"secret_env": "secrets", "time_limit": "timeout", "retry": "retries", "max_retries": "retries.max", "grace": "cancel.grace", "signal": "cancel.signal",
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

// distance is the number of letters to insert, delete, replace or swap with their
// neighbours that makes b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replace := last[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
