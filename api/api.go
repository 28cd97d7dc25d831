// Package api is the HTTP face: the routes under /v1, their documentation and
// health. It turns requests into commands and Worlds into answers, and holds no
// state of its own. One file a resource.
//
// Every route names the role it needs and is refused until it does; a caller
// sees only what belongs to the namespace of its token.
package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/api/metrics"
	"github.com/hodei-jobs/hodei/api/people"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/watch"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

// Limits of the API. Each is named by the error of who meets it; those of a
// single parameter stand beside it.
const (
	MaxHeaderBytes = 64 << 10         // bytes of a request's header
	HeaderTimeout  = 10 * time.Second // to send a header

	MaxStreams      = 10_000 // event streams open at once, unless set otherwise
	MaxTokenStreams = 1000   // of them, those of one token, unless set otherwise

	maxBody     = 1 << 20          // bytes of a request's body
	maxBatch    = 1000             // jobs of one batch
	bodyTimeout = 30 * time.Second // to send a body
)

// Config is what the API is made of. All fields but Links, Uses, People, Names, NamesChanged, Metrics, Warnings, Refuses and the limits
// are required.
type Config struct {
	Commands  *commands.Service
	Runner    *projections.Runner
	Store     eventstore.Store
	Logs      *joblog.Log
	Telemetry *telemetry.Table
	Clock     func() time.Time
	Logger    *slog.Logger
	Watch     *watch.Hub // running
	Version   string
	// WorkerToken issues a token with which one worker registers.
	WorkerToken func(ctx context.Context, labels map[string]string, expires time.Time) (*wire.WorkerToken, error)
	// MaxStreams and MaxTokenStreams are how many event streams may be open at once,
	// and how many of one token; 0 is the default.
	MaxStreams, MaxTokenStreams int
	// Links sign browsers in; nil are links of its own.
	Links *Links
	// Uses are when tokens were last accepted; nil are ones of its own.
	Uses *Uses
	// People sign in there; nil if none can.
	People *people.Provider
	// Names are what they are called; nil are ones of its own. NamesChanged keeps
	// them, unless it is nil.
	Names        *people.Names
	NamesChanged func() error
	// Metrics count requests and are served, unless they are nil.
	Metrics *metrics.Metrics
	// Warnings returns what an operator should look at, for /readyz.
	Warnings func() []string
	// Refuses returns why appends are refused at present, nil if they are taken.
	Refuses func() *eventstore.ReadOnlyError
}

type server struct {
	Config
	reasons    reasons
	codes      codes
	streams    streams
	encodings  encodings
	searches   atomic.Int32    // of logs, under way
	laggards   chan struct{}   // has room for streams that read the journal of logs
	writeLimit time.Duration   // for a client to take one write
	done       <-chan struct{} // closed when the server stops: streams end
}

func newServer(c Config, stop <-chan struct{}) *server {
	c.MaxStreams, c.MaxTokenStreams = cmp.Or(c.MaxStreams, MaxStreams), cmp.Or(c.MaxTokenStreams, MaxTokenStreams)
	if c.Links == nil {
		c.Links = NewLinks(c.Clock)
	}
	if c.Uses == nil {
		c.Uses = NewUses()
	}
	if c.Names == nil {
		c.Names = people.NewNames()
	}
	return &server{Config: c, streams: streams{most: c.MaxStreams, mostEach: c.MaxTokenStreams}, done: stop,
		laggards: make(chan struct{}, maxLaggards), writeLimit: sse.WriteLimit}
}

// New returns the API and its OpenAPI document. Its event streams end when stop
// is closed.
func New(c Config, stop <-chan struct{}) (http.Handler, *huma.OpenAPI) {
	h, o := newServer(c, stop).routes()
	return economical(h), o
}

func (s *server) routes() (http.Handler, *huma.OpenAPI) {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.routeError
	e.Use(s.counted, s.recover, s.guard)
	api := huma.NewAPI(config(s.Version), newAdapter(e))
	api.UseMiddleware(s.authenticate)
	s.health(api)
	s.submissions(api)
	s.jobs(api)
	s.reruns(api)
	s.logs(api)
	s.usage(api)
	s.queue(api)
	s.workers(api)
	s.workerStates(api)
	s.secrets(api)
	s.workerTokens(api)
	s.settings(api)
	s.tokens(api)
	s.namespaces(api)
	s.events(api)
	s.changes(api)
	s.observability(api)
	s.sessions(e, api)
	s.signInRoutes(e)
	s.documentation(e, api)
	dashboard(e)
	documentPosition(api.OpenAPI())
	return e, api.OpenAPI()
}

func config(version string) huma.Config {
	c := huma.DefaultConfig("Hodei Jobs", version)
	c.Info.Description = "Jobs, workers, logs and the event log of one Hodei cluster."
	c.DocsPath = "" // ours loads nothing from elsewhere
	c.SchemasPath = ""
	c.CreateHooks = nil // no $schema links in answers
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "An API token, hodei_…"},
	}
	aliases(c.Components.Schemas)
	return c
}
