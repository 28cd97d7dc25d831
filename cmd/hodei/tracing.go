package main

import (
	"context"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"

	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/traces"
)

// checkOTLP wants an address that can be spoken to.
func (c *serverConfig) checkOTLP() error {
	u, err := url.Parse(c.OTLP)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usage("%s is %q; it must be a URL such as http://localhost:4318", c.from["otlp"], c.OTLP)
	}
	return nil
}

// tell tells a collector of jobs, if there is one.
func (p *parts) tell(ctx context.Context) error {
	if p.config.OTLP == "" {
		return nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(p.config.OTLP, "/")+"/v1/traces"))
	if err != nil {
		return err
	}
	return traces.New(traces.Config{Store: p.store, Wait: p.runner.Wait, Exporter: exporter, Version: version}).Run(ctx)
}

// traceparent is what an attempt goes on from, nil unless somebody is told.
func (p *parts) traceparent() func(commands.Origin, joblog.Key) string {
	if p.config.OTLP == "" {
		return nil
	}
	return func(from commands.Origin, k joblog.Key) string {
		return traces.Attempt(from.Traceparent, from.Event, k.Job, k.Attempt)
	}
}
