package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// dictionary is where events are defined, one file an aggregate.
const dictionary = "aggregates/event/v1"

// chapters are the dictionary's files in the order of the page.
var chapters = []struct{ file, title string }{
	{"job.proto", "Jobs"},
	{"worker.proto", "Workers"},
	{"access.proto", "Tokens and namespaces"},
	{"secret.proto", "Stored secrets"},
	{"server.proto", "Settings and servers"},
}

const eventsIntro = `# Events

Every event that can stand in the log, what it says and which command raises it. An event is never changed once it is
written; its instant is its record's time, so fields hold durations only. Fields that are absent are zero, unless marked
optional: then absent means not known.

The HTTP API shows them in the notation of jobs: time_limit_ns is time_limit, such as 30m; took_ns is seconds, a number;
what is asked for is 500m of a CPU and 512Mi; usage is that of a job; pairs are an object. What is sealed is left out.

`

// isEvent tells events from parts of events: their comment begins with their
// own name and a colon.
func isEvent(m message) bool { return strings.HasPrefix(m.comment, m.name+": ") }

// events makes the dictionary of events; parts of events stand at the end.
func events(_ context.Context, root string) (string, error) {
	var page, parts strings.Builder
	page.WriteString(notice + eventsIntro)
	for _, chapter := range chapters {
		text, err := os.ReadFile(filepath.Join(root, dictionary, chapter.file))
		if err != nil {
			return "", err
		}
		page.WriteString("## " + chapter.title + "\n\n")
		for _, m := range messages(string(text)) {
			if isEvent(m) {
				writeMessage(&page, m, strings.TrimPrefix(m.comment, m.name+": "))
			} else {
				writeMessage(&parts, m, m.comment)
			}
		}
	}
	common, err := os.ReadFile(filepath.Join(root, dictionary, "common.proto"))
	if err != nil {
		return "", err
	}
	for _, m := range messages(string(common)) {
		writeMessage(&parts, m, m.comment)
	}
	page.WriteString("## Parts of events\n\n" + parts.String())
	return strings.TrimRight(page.String(), "\n") + "\n", nil
}

const workerIntro = `# Messages of the worker protocol

Every message between an agent and a server, generated from the protocol's file. How they are used is told in
[protocol.md](protocol.md).

`

// workerMessages makes the reference of the worker protocol's messages.
func workerMessages(_ context.Context, root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "agentproto/v1/worker.proto"))
	if err != nil {
		return "", err
	}
	var page strings.Builder
	page.WriteString(notice + workerIntro)
	for _, m := range messages(string(text)) {
		writeMessage(&page, m, m.comment)
	}
	return strings.TrimRight(page.String(), "\n") + "\n", nil
}
