package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections/telemetry"
)

// An older log beside newer telemetry, index and snapshots gone with it, is not
// gone on with.
func TestALogOlderThanTelemetryIsRefused(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	cfg := serverConfig{Data: data, KeyFile: data + ".key"}
	cfg.logs.dir = filepath.Join(data, archiveName, objectsName)
	quiet := slog.New(slog.DiscardHandler)
	before := &parts{config: cfg, logger: quiet}
	if err := errors.Join(before.open(t.Context()), runOnce(t, before.telemetry), before.close()); err != nil {
		t.Fatal(err)
	}
	newer, err := telemetry.Open(filepath.Join(data, "telemetry"), telemetry.Options{Position: func() eventstore.Position { return 9 }})
	if err != nil {
		t.Fatal(err)
	}
	newer.Report(1, 1, telemetry.Sample{CPU: telemetry.Measured(10)})
	if err := runOnce(t, newer); err != nil {
		t.Fatal(err)
	}
	p := &parts{config: cfg, logger: quiet}
	err = errors.Join(p.open(t.Context()), p.close())
	var refused *exitError
	if !errors.As(err, &refused) || !strings.Contains(refused.Error(), "the log ends at #0, though #9 is known to have been in it") ||
		!strings.Contains(refused.help, filepath.Join(data, "telemetry")+" was written when the log had reached #9: put the newer log back") {
		t.Errorf("opened with %v", err)
	}
}

// runOnce lets a table write what it was told, and closes its journal.
func runOnce(t *testing.T, table *telemetry.Table) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return table.Run(ctx)
}
