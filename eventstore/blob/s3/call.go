package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/hodei-jobs/hodei/eventstore/blob"
)

// call is one call with its time limit.
type call struct {
	ctx    context.Context
	asked  context.Context // of the caller
	cancel context.CancelFunc
	timer  *time.Timer
	stall  time.Duration
}

func (s *Store) begin(ctx context.Context) *call {
	c := &call{asked: ctx, stall: s.stall}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.timer = time.AfterFunc(s.stall, c.cancel)
	return c
}

// alive begins the time limit anew.
func (c *call) alive() { c.timer.Reset(c.stall) }

func (c *call) end() {
	c.timer.Stop()
	c.cancel()
}

// failure names an error as the port does.
func (c *call) failure(err error) error {
	switch status := code(err); {
	case err == nil:
		return nil
	case c.asked.Err() != nil:
		return c.asked.Err()
	case c.ctx.Err() != nil:
		return fmt.Errorf("%w: nothing came for %v", blob.ErrUnavailable, c.stall)
	case status == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %w", blob.ErrExists, err)
	case status == http.StatusNotFound && minio.ToErrorResponse(err).Code != minio.NoSuchBucket:
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
}

// code is the HTTP status of an answer that was an error; 0 if none came.
func code(err error) int {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return 0
	}
	switch answer.Code {
	case minio.NoSuchKey:
		return http.StatusNotFound
	case minio.PreconditionFailed:
		return http.StatusPreconditionFailed
	case "InvalidRange":
		return http.StatusRequestedRangeNotSatisfiable
	}
	return answer.StatusCode
}

// reader notes what a body's own failure was and that bytes go on.
type reader struct {
	call *call
	body io.Reader
	left int64 // bytes that must still come; UnknownSize if that is not known
	err  error // the body's own
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.call.alive()
	if r.left >= 0 {
		r.left = max(0, r.left-int64(n))
	}
	switch {
	case err == nil:
	case !errors.Is(err, io.EOF):
		r.err = err
	case r.left > 0:
		r.err = fmt.Errorf("blob: the body ends %d bytes before it was said to", r.left)
	}
	return n, err
}

// sized returns the body as it is to be sent, and its size if it has one that is
// known. A body of unknown size that is short is read for that.
func (r *reader) sized() (io.Reader, int64, error) {
	if r.left != blob.UnknownSize {
		if seeker, ok := r.body.(io.Seeker); ok {
			return &seekReader{r, seeker, r.left}, r.left, nil
		}
		return r, r.left, nil
	}
	ahead, err := io.ReadAll(io.LimitReader(r, partBytes))
	if err != nil {
		return nil, 0, err
	}
	if len(ahead) < partBytes {
		return bytes.NewReader(ahead), int64(len(ahead)), nil
	}
	return io.MultiReader(bytes.NewReader(ahead), r), blob.UnknownSize, nil
}

// seekReader is a reader whose body can be sent once more.
type seekReader struct {
	*reader
	seeker io.Seeker
	size   int64
}

func (r *seekReader) Seek(offset int64, whence int) (int64, error) {
	at, err := r.seeker.Seek(offset, whence)
	if err == nil && r.size >= 0 {
		r.left = r.size - at
	}
	return at, err
}
