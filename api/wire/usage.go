package wire

import "time"

// UsageSeries is what an attempt used over time, of its whole process tree. What
// could not be measured is absent, which is not 0.
type UsageSeries struct {
	Attempt  uint32       `json:"attempt" doc:"The attempt, from 1; 0 before the first"`
	Step     float64      `json:"step_seconds" doc:"How much time a point is of; of 1 each is a sample"`
	Whole    bool         `json:"whole" doc:"No more points come"`
	Requests Requests     `json:"requests" doc:"What the job asked for, to draw beside"`
	Items    []UsagePoint `json:"items" doc:"In order; there is none where nothing was measured"`
}

// Requests is what a job asked for. What it did not is absent.
type Requests struct {
	CPU    float64 `json:"cpu,omitempty" doc:"CPUs"`
	Memory uint64  `json:"memory_bytes,omitempty"`
	Disk   uint64  `json:"disk_bytes,omitempty"`
}

// UsagePoint sums up the samples of a step.
type UsagePoint struct {
	At        time.Time `json:"at" doc:"When it begins"`
	Seconds   float64   `json:"seconds" doc:"How much of it was measured"`
	CPU       Spread    `json:"cpu" doc:"CPUs in use: CPU time, that of ended children included, in time"`
	Memory    *Spread   `json:"memory_bytes,omitempty" doc:"Resident memory; of several processes what they share counts once"`
	Processes uint32    `json:"processes,omitempty" doc:"The most at once"`
	DiskRead  *uint64   `json:"disk_read_bytes,omitempty" doc:"From storage, not from the cache, in the step"`
	DiskWrite *uint64   `json:"disk_written_bytes,omitempty"`
	NetRx     *uint64   `json:"net_received_bytes,omitempty" doc:"In the step; known only of a job with a network of its own"`
	NetTx     *uint64   `json:"net_sent_bytes,omitempty"`
}

// Spread is of the samples of a step.
type Spread struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
}
