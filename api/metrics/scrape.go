package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/projections"
)

// scrape reads what is from the newest World, at the moment it is asked for.
type scrape struct {
	config Config
	all    []*prometheus.Desc

	position, lag, frozen, waiting, backoff *prometheus.Desc
	jobs, jobsEnded, attempts               *prometheus.Desc
	workers, open, cpu, memory              *prometheus.Desc
	journals                                *prometheus.Desc
}

func newScrape(c Config) *scrape {
	s := &scrape{config: c}
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("hodei_"+name, help, labels, nil)
		s.all = append(s.all, d)
		return d
	}
	s.position = gauge("log_position", "Position of the newest event that this server shows.")
	s.lag = gauge("world_lag_events", "Events of the log that the read models have not taken yet.")
	s.frozen = gauge("frozen_streams", "Jobs, workers and others that an event which can't be understood has stopped.")
	s.waiting = gauge("queue_waiting_jobs", "Jobs that wait for a worker.")
	s.backoff = gauge("queue_backoff_jobs", "Jobs that wait for a retry's delay.")
	s.jobs = gauge("jobs", "Jobs that have not ended, by state.", "state")
	s.jobsEnded = gauge("jobs_ended_total", "Jobs that have ended, ever, by state.", "state")
	s.workers = gauge("workers", "Workers that have not ended for good, by state.", "state")
	s.open = gauge("workers_open", "Workers that take new jobs: online, not cordoned, not draining.")
	s.cpu = gauge("workers_cpu_cores", "CPUs of online workers: what they have, and what is reserved for jobs.", "kind")
	s.memory = gauge("workers_memory_bytes", "Memory of online workers: what they have, and what is reserved for jobs.", "kind")
	s.attempts = gauge("attempts_live", "Attempts that are on a worker.")
	s.journals = gauge("log_journal_bytes", "Output of jobs that is in journals and not archived yet.")
	return s
}

// Describe implements prometheus.Collector.
func (s *scrape) Describe(to chan<- *prometheus.Desc) {
	for _, d := range s.all {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *scrape) Collect(to chan<- prometheus.Metric) {
	w, _ := s.config.Wait()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(s.position, float64(w.Position))
	gauge(s.lag, float64(s.config.Lag()))
	frozen := 0
	for range w.Frozen() {
		frozen++
	}
	gauge(s.frozen, float64(frozen))
	gauge(s.waiting, float64(w.Queue.Waiting()))
	gauge(s.backoff, float64(w.Queue.Backoff()))
	gauge(s.attempts, float64(w.Cluster.Live()))
	gauge(s.journals, float64(s.config.Journals()))
	for status, n := range w.Jobs.Counts() {
		switch st := job.Status(status); {
		case st == job.None:
		case st.Terminal():
			to <- prometheus.MustNewConstMetric(s.jobsEnded, prometheus.CounterValue, float64(n), st.String())
		default:
			gauge(s.jobs, float64(n), st.String())
		}
	}
	s.machines(w, gauge)
}

// machines counts workers, and what those that are online have.
func (s *scrape) machines(w *projections.World, gauge func(*prometheus.Desc, float64, ...string)) {
	states, open := map[worker.Status]int{worker.Requested: 0, worker.Launched: 0, worker.Connected: 0, worker.Disconnected: 0, worker.Lost: 0}, 0
	for row := range w.Workers.All() {
		if row.Status != worker.Terminated {
			states[row.Status]++
		}
	}
	for status, n := range states {
		state := status.String()
		if status == worker.Connected {
			state = "online" // as lists call it
		}
		gauge(s.workers, float64(n), state)
	}
	var cpu, memory, reservedCPU, reservedMemory float64
	for n := range w.Cluster.Nodes() {
		if n.Open() {
			open++
		}
		if !n.Connected || n.Gone {
			continue
		}
		cpu += float64(n.Capacity.CPU) / 1000
		memory += float64(n.Capacity.Memory)
		reservedCPU += float64(n.Reserved.CPU) / 1000
		reservedMemory += float64(n.Reserved.Memory)
	}
	gauge(s.open, float64(open))
	gauge(s.cpu, cpu, "capacity")
	gauge(s.cpu, reservedCPU, "reserved")
	gauge(s.memory, memory, "capacity")
	gauge(s.memory, reservedMemory, "reserved")
}
