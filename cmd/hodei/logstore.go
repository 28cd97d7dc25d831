package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/eventstore/blob/disk"
	"github.com/hodei-jobs/hodei/eventstore/blob/s3"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/joblog/archive"
	"github.com/hodei-jobs/hodei/projections/joblog/segment"
)

const (
	archiveName = "archive" // in the data folder: the catalog and, by default, the objects
	objectsName = "objects"

	minArchiveAfter = 100 * time.Millisecond // a journal has several files, and makes an object an attempt
	defaultRegion   = "us-east-1"            // what servers that know no regions take
)

// logSettings say where the output of jobs lasts, and for how long.
type logSettings struct {
	dir       string     // a folder; empty if it is S3
	s3        *s3.Config // without credentials
	after     time.Duration
	keep      time.Duration // 0 is for ever
	keepBytes int64         // 0 is all
}

func (c *serverConfig) checkLogs() error {
	for name, to := range map[string]struct {
		text string
		is   *time.Duration
	}{"log_archive_after": {c.LogAfter, &c.logs.after}, "log_keep": {c.LogKeep, &c.logs.keep}} {
		d, err := spec.ParseDuration(to.text)
		if err != nil {
			return usage("%s: %s; write it such as 90d or 30s", c.from[name], reason(err))
		}
		*to.is = d.Std()
	}
	if c.logs.after < minArchiveAfter {
		return usage("%s is %s; the least is %v", c.from["log_archive_after"], c.LogAfter, minArchiveAfter)
	}
	size, err := resource.ParseBytes(c.LogKeepBytes)
	if err != nil {
		return usage("%s: %s; write it such as 100Gi", c.from["log_keep_bytes"], reason(err))
	}
	c.logs.keepBytes = int64(size)
	if rest, ok := strings.CutPrefix(c.LogStore, "s3://"); ok {
		return c.checkS3(rest)
	}
	c.logs.dir = c.LogStore
	if c.LogStore == "" {
		c.logs.dir = filepath.Join(c.Data, archiveName, objectsName)
	}
	if strings.Contains(c.LogStore, "://") {
		return usage("%s is %q; it may be a folder or begin with s3://", c.from["log_store"], c.LogStore)
	}
	c.logs.dir, err = filepath.Abs(c.logs.dir)
	return err
}

// checkS3 reads BUCKET/PREFIX?endpoint=URL&region=NAME.
func (c *serverConfig) checkS3(rest string) error {
	bad := func(why string) error {
		return usage("%s: %s; write it as s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME", c.from["log_store"], why)
	}
	place, query, _ := strings.Cut(rest, "?")
	bucket, prefix, _ := strings.Cut(place, "/")
	values, err := url.ParseQuery(query)
	switch {
	case err != nil:
		return bad("what follows ? cannot be read")
	case bucket == "":
		return bad("the bucket is missing")
	}
	for name := range values {
		if name != "endpoint" && name != "region" {
			return bad(fmt.Sprintf("there is no option %q", name))
		}
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	config := s3.Config{Endpoint: values.Get("endpoint"), Region: first(values.Get("region"), defaultRegion), Bucket: bucket, Prefix: prefix}
	if config.Endpoint == "" {
		return bad("the endpoint is missing")
	}
	if _, err := s3.New(config); err != nil {
		return bad(reason(err))
	}
	c.logs.s3 = &config
	return nil
}

// openObjects opens the store of objects. Credentials of S3 are in the environment
// alone: arguments can be seen by everybody on the machine.
func (p *parts) openObjects() (store blob.Store, err error) {
	c := p.config.logs
	if c.s3 == nil {
		if p.objects, err = disk.Open(c.dir); err != nil {
			return nil, &exitError{code: exitRefused, err: err, help: "another folder: --log-store DIR"}
		}
		return p.objects, nil
	}
	with := *c.s3
	with.AccessKey, with.SecretKey, with.Token = os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")
	if with.AccessKey == "" || with.SecretKey == "" {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s is in S3, and there are no credentials", p.config.from["log_store"]),
			help: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the server's environment"}
	}
	return s3.New(with)
}

// openLogs opens the output of jobs: where it lasts, then what is on its way there.
func (p *parts) openLogs(ctx context.Context) error {
	store, err := p.openObjects()
	if err != nil {
		return err
	}
	c := p.config.logs
	p.archive, err = archive.Open(ctx, archive.Config{Dir: filepath.Join(p.config.Data, archiveName), Store: store, Sealed: p.sealed,
		Keep: c.keep, KeepBytes: c.keepBytes, Clock: p.store.Now, Logger: p.logger})
	if err != nil {
		return &exitError{code: exitRefused, err: err, help: "where output of jobs lasts is chosen by --log-store"}
	}
	p.logs, err = joblog.Open(filepath.Join(p.config.Data, "logs"), joblog.Options{Logger: p.logger, Files: p.spared(), Archive: p.archive, JournalAge: c.after})
	if err != nil {
		return &exitError{code: exitRefused, err: err, help: "another folder: --data DIR"}
	}
	return nil
}

// sealed records that a log is whole where logs last. That its job does not know
// of it, as after a backup was put back, will not change.
func (p *parts) sealed(ctx context.Context, s segment.Summary) error {
	if s.Key.IsSeries() {
		return nil // what a job wrote is proven by its digest, not what was measured
	}
	err := p.commands.SealLog(ctx, system("archive"), s.Key.Job, job.SealLog{Attempt: s.Key.Attempt, Size: s.End, Digest: s.Digest})
	var f *fault.Error
	if errors.As(err, &f) && (f.Kind == fault.NotFound || f.Kind == fault.Refused) {
		p.logger.Warn("that a log is sealed cannot be recorded", "job", s.Key.Job.String(), "attempt", s.Key.Attempt, "error", err)
		return nil
	}
	return err
}
