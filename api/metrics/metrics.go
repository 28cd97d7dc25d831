// Package metrics is what a server tells Prometheus of itself: what is in its
// World at the moment of a scrape, what the log has recorded since it started, and
// how it answers over HTTP. Every name begins with hodei_, every label has a
// bounded set of values: no job, worker, namespace or token is a label.
//
// All methods are safe for concurrent use, except that [Metrics.Run] is called
// once. A scrape takes no lock and changes nothing; it walks workers, not jobs.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
)

// How finely times are counted, in seconds.
var (
	answerBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	waitBuckets   = []float64{.001, .0025, .005, .01, .025, .05, .1, .5, 1, 5, 15, 60, 300, 900, 3600, 14400}
	runBuckets    = []float64{.01, .1, .5, 1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400}
)

// Config is what is measured. All fields are required.
type Config struct {
	Store    eventstore.Store
	Wait     func() (*projections.World, <-chan struct{}) // the newest World, and what is closed when there is a newer one
	Lag      func() int                                   // events the World is behind the log
	Journals func() int64                                 // bytes of job output that isn't archived
	Version  string
	Commit   string
}

// Metrics counts.
type Metrics struct {
	config   Config
	registry *prometheus.Registry
	from     eventstore.Position // what comes after it is counted

	events  *prometheus.CounterVec
	waited  prometheus.Histogram
	ran     *prometheus.HistogramVec
	answers *prometheus.HistogramVec
	streams prometheus.Gauge
}

// New returns metrics that count from now on. Run them.
func New(c Config) *Metrics {
	m := &Metrics{
		config:   c,
		registry: prometheus.NewRegistry(),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hodei_events_total",
			Help: "Events recorded since this server started, by type."}, []string{"type"}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "hodei_job_wait_seconds", Buckets: waitBuckets,
			Help: "How long first attempts waited, from their submission to their start."}),
		ran: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hodei_attempt_seconds", Buckets: runBuckets,
			Help: "How long attempts ran, from their start to their end, by outcome."}, []string{"outcome"}),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hodei_http_request_seconds", Buckets: answerBuckets,
			Help: "How long HTTP requests took, until the last byte of the answer, by route, method and status. Streams count when they end."},
			[]string{"route", "method", "status"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "hodei_http_streams", Help: "Event streams that are open."}),
	}
	m.from, _ = c.Store.Wait()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hodei_build_info", Help: "Always 1; the labels name the build."}, []string{"version", "commit"})
	build.WithLabelValues(c.Version, c.Commit).Set(1)
	m.registry.MustRegister(m.events, m.waited, m.ran, m.answers, m.streams, build, newScrape(c),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Answered counts an HTTP request that was answered. The route is a pattern such
// as /v1/jobs/{id}, never a path.
func (m *Metrics) Answered(route, method, status string, took time.Duration) {
	m.answers.WithLabelValues(route, method, status).Observe(took.Seconds())
}

// Stream counts an event stream that was opened, 1, or has ended, -1.
func (m *Metrics) Stream(change float64) { m.streams.Add(change) }

// ServeHTTP answers a scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
