// Package archive keeps the logs of jobs where they last: in a store of objects,
// as segments, with a catalog of them on this machine.
//
//	journal closes ─▶ a segment for each attempt in it ─▶ catalog ─▶ journal is removed
//	                        │ many small ones                 attempt has ended
//	                        └──────────▶ merged ──────────────────▶ sealed: one segment,
//	                                                                 its digest is told
//
// The order of the steps is what makes a crash harmless: an object is whole before
// the catalog names it, the catalog names it durably before what it replaces is
// removed. Names follow from what is in an object, so a step that is done again
// finds its result; objects that nothing names are removed when the log is sealed.
//
// The store may be away for as long as it likes: then journals stay, and nobody
// waits but those who read what is in the store. The catalog can be made anew from
// the store's list of objects; what it then lacks is which logs were empty or
// removed.
package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/segment"
)

const (
	defaultWarnBytes = 10 << 30 // of all logs as they are stored

	dirMode     = 0o700
	catalogName = "catalog"
	markerName  = "catalog.broken" // the catalog must be made anew
	tempName    = "merging"
)

// Config of an archive.
type Config struct {
	Dir   string     // of the catalog, and of logs while they are merged; made if there is none
	Store blob.Store // of the segments

	// Sealed is told of each log that lies whole in one object, at least once; again
	// until it returns nil. It may be called concurrently.
	Sealed func(ctx context.Context, s segment.Summary) error

	Keep      time.Duration // how long after it was sealed a log is kept; 0: for ever
	KeepBytes int64         // how many bytes of sealed logs, as they are stored, are kept; 0: all
	WarnBytes int64         // above which there is a warning; 0: 10 GiB

	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

// Archive keeps logs. It implements [joblog.Archive]; all methods are safe for
// concurrent use.
type Archive struct {
	config  Config
	store   blob.Store
	logger  *slog.Logger
	catalog *catalog
	readers readers
	state   state
	tidyNow chan struct{} // holds one: something was added to what is due
	settled bool          // owned by Run: a batch of journals went through since the start
}

// Open opens the archive. A catalog that is missing or damaged is made anew from
// the store's list, which takes one call a thousand objects. Errors: those of the
// folder; if the catalog must be made anew, those of the store.
func Open(ctx context.Context, c Config) (*Archive, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.WarnBytes <= 0 {
		c.WarnBytes = defaultWarnBytes
	}
	a := &Archive{config: c, store: c.Store, logger: c.Logger, tidyNow: make(chan struct{}, 1)}
	if err := os.MkdirAll(c.Dir, dirMode); err != nil {
		return nil, fmt.Errorf("cannot open the archive of logs: %w", err)
	}
	if err := os.RemoveAll(a.temp()); err != nil { // of a crash
		return nil, fmt.Errorf("cannot open the archive of logs: %w", err)
	}
	if err := a.openCatalog(ctx); err != nil {
		return nil, fmt.Errorf("cannot open the archive of logs: %w", err)
	}
	return a, nil
}

func (a *Archive) temp() string { return filepath.Join(a.config.Dir, tempName) }

// openCatalog opens the catalog, or makes it anew.
func (a *Archive) openCatalog(ctx context.Context) error {
	path, marker := filepath.Join(a.config.Dir, catalogName), filepath.Join(a.config.Dir, markerName)
	c, err := openCatalog(path, marker)
	if err == nil && c.complete() {
		a.catalog = c
		return nil
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("another process has %s open", path)
	}
	if err != nil {
		a.logger.Warn("the catalog of logs is made anew from the store", "error", err)
	} else if err := c.close(); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.Remove(marker); err != nil && !os.IsNotExist(err) {
		return err
	}
	if c, err = openCatalog(path, marker); err != nil {
		return err
	}
	a.catalog = c
	if err := a.rebuild(ctx); err != nil {
		return fmt.Errorf("cannot list what is in the store: %w", joinClose(err, c))
	}
	return nil
}

// Close closes the catalog. Run must have returned.
func (a *Archive) Close() error { return a.catalog.close() }

// Extent implements [joblog.Archive].
func (a *Archive) Extent(k joblog.Key) (joblog.Extent, error) {
	r, ok, err := a.catalog.get(k)
	return joblog.Extent{End: r.end, Ended: r.has(ended), Known: ok}, err
}

// Unended implements [joblog.Archive].
func (a *Archive) Unended() (keys []joblog.Key, err error) {
	err = a.catalog.due(func(k joblog.Key, r record) bool {
		if !r.has(ended) {
			keys = append(keys, k)
		}
		return true
	})
	return keys, err
}

// Size is how many bytes all logs take in the store.
func (a *Archive) Size() int64 { return a.catalog.bytes.Load() }
