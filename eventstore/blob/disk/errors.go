package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/hodei-jobs/hodei/eventstore/blob"
)

// absent tells that there is no such file, also because what the key takes for a
// folder is a file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// unavailable names a failure of the file system as the port does.
func unavailable(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case absent(err):
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
}
