package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	logs := []string{"storage is away"}
	if got := warningsOf(logs, nil); !slices.Equal(got, logs) {
		t.Errorf("%q", got)
	}
	got := warningsOf(logs, errors.New("read /srv/hodei/events: input/output error"))
	if len(got) != 2 || got[0] != logs[0] || !strings.Contains(got[1], "can't be read") || strings.Contains(got[1], "/srv") {
		t.Errorf("%q", got)
	}
}
