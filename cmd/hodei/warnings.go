package main

import "slices"

// warnings are what /readyz tells an operator to look at though all works.
func (p *parts) warnings() []string { return warningsOf(p.archive.Warnings(), p.store.Unverified()) }

// warningsOf puts the warnings of the parts together. What the server's own files are
// called is for its log: /readyz is open to everybody.
func warningsOf(logs []string, unverified error) []string {
	all := slices.Clone(logs)
	if unverified != nil {
		all = append(all, "old records of the event log can't be read to verify them, which is tried again; the server's log says why")
	}
	return all
}
