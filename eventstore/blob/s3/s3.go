// Package s3 keeps objects in a bucket of S3-compatible storage, by minio-go.
//
// Every call has a time limit that begins anew with each byte that gets through,
// so that a store which hangs is an error and a slow one is not. Nothing is tried
// again here, once more at most on a broken connection: those who call know
// whether and when to.
//
// A body of up to wholeBytes, or one of unknown size of up to partBytes, is one
// conditional request, so that of two creates exactly one wins. A larger one goes
// in parts, and some servers don't hold the condition then; it is looked up before.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/hodei-jobs/hodei/eventstore/blob"
)

const (
	defaultStall = 30 * time.Second // how long a call may go without a byte
	partBytes    = 8 << 20          // of a body whose size is not known; it is in memory, and 10,000 are the most
	wholeBytes   = 1 << 30          // a body of known size up to this is put in one request
	maxTries     = 2
	maxIdle      = 16 // connections kept open
)

// Config says which storage. All but Prefix, Token and Stall are needed.
type Config struct {
	Endpoint string // URL, http or https, without a path
	Region   string
	Bucket   string // must exist
	Prefix   string // of all keys, such as "logs/"; a key of package blob with "/" behind, or empty

	AccessKey, SecretKey string
	Token                string // of temporary credentials

	Stall time.Duration // how long a call may go without a byte; 0 is 30 s
}

// Store keeps objects in a bucket. It implements [blob.Store].
type Store struct {
	client *minio.Client
	bucket string
	prefix string
	stall  time.Duration
}

// New returns the store. It does not talk to it yet.
func New(c Config) (*Store, error) {
	host, secure := strings.CutPrefix(c.Endpoint, "https://")
	if !secure {
		var plain bool
		if host, plain = strings.CutPrefix(c.Endpoint, "http://"); !plain {
			return nil, fmt.Errorf("the endpoint %q must begin with http:// or https://", c.Endpoint)
		}
	}
	if c.Prefix != "" && (!strings.HasSuffix(c.Prefix, "/") || blob.CheckPrefix(c.Prefix) != nil) {
		return nil, fmt.Errorf("the prefix %q must be of small letters, digits, . - _ and end with /", c.Prefix)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxIdle
	client, err := minio.New(strings.TrimSuffix(host, "/"), &minio.Options{
		Creds:  credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.Token),
		Secure: secure, Region: c.Region, Transport: transport, BucketLookup: minio.BucketLookupPath, MaxRetries: maxTries,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot use the storage at %s: %w", c.Endpoint, err)
	}
	s := &Store{client: client, bucket: c.Bucket, prefix: c.Prefix, stall: c.Stall}
	if s.stall <= 0 {
		s.stall = defaultStall
	}
	return s, nil
}

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, key string, body io.Reader, o blob.Options) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	call := s.begin(ctx)
	defer call.end()
	source := &reader{call: call, body: body, left: o.Size}
	sent, size, err := source.sized()
	if err != nil {
		return err
	}
	options := minio.PutObjectOptions{ContentType: "application/octet-stream", PartSize: partBytes}
	options.DisableMultipart = size >= 0 && size <= wholeBytes
	if size > wholeBytes {
		options.PartSize = 0 // as many bytes as the limit of parts asks for
	}
	if o.Create {
		options.SetMatchETagExcept("*")
		if !options.DisableMultipart {
			if err := s.free(ctx, key); err != nil {
				return err
			}
		}
	}
	_, err = s.client.PutObject(call.ctx, s.bucket, s.prefix+key, sent, size, options)
	if source.err != nil {
		return source.err
	}
	return call.failure(err)
}

// free returns ErrExists if there is such an object.
func (s *Store) free(ctx context.Context, key string) error {
	switch _, err := s.Stat(ctx, key); {
	case err == nil:
		return blob.ErrExists
	case errors.Is(err, blob.ErrNotFound):
		return nil
	default:
		return err
	}
}

// Get implements [blob.Store].
func (s *Store) Get(ctx context.Context, key string, offset int64, n int) ([]byte, error) {
	if err := errors.Join(blob.CheckKey(key), blob.CheckRange(offset, n)); err != nil {
		return nil, err
	}
	call := s.begin(ctx)
	defer call.end()
	var options minio.GetObjectOptions
	if err := options.SetRange(offset, offset+int64(max(1, n))-1); err != nil {
		return nil, err
	}
	body, _, _, err := minio.Core{Client: s.client}.GetObject(call.ctx, s.bucket, s.prefix+key, options)
	if code(err) == http.StatusRequestedRangeNotSatisfiable {
		return nil, nil // it ends before
	}
	if err != nil {
		return nil, call.failure(err)
	}
	data, err := io.ReadAll(io.LimitReader(&reader{call: call, body: body, left: blob.UnknownSize}, int64(n)))
	return data, call.failure(errors.Join(err, body.Close()))
}

// Stat implements [blob.Store].
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	call := s.begin(ctx)
	defer call.end()
	info, err := s.client.StatObject(call.ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
	if err = call.failure(err); errors.Is(err, blob.ErrNotFound) {
		// The answer to such a request has no body to tell what is missing.
		there, bucketErr := s.client.BucketExists(call.ctx, s.bucket)
		if bucketErr == nil && !there {
			bucketErr = fmt.Errorf("there is no bucket %s", s.bucket)
		}
		if bucketErr != nil {
			err = call.failure(bucketErr)
		}
	}
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Key: key, Size: info.Size, Modified: info.LastModified}, nil
}

// List implements [blob.Store].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if err := blob.CheckPrefix(prefix); err != nil {
			yield(blob.Info{}, err)
			return
		}
		call := s.begin(ctx)
		defer call.end()
		options := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}
		for info := range s.client.ListObjectsIter(call.ctx, s.bucket, options) {
			call.alive()
			if info.Err != nil {
				yield(blob.Info{}, call.failure(info.Err))
				return
			}
			key, ours := strings.CutPrefix(info.Key, s.prefix)
			if !ours || blob.CheckKey(key) != nil {
				continue // of somebody else
			}
			if !yield(blob.Info{Key: key, Size: info.Size, Modified: info.LastModified}, nil) {
				return
			}
		}
	}
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	call := s.begin(ctx)
	defer call.end()
	err := call.failure(s.client.RemoveObject(call.ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{}))
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}
