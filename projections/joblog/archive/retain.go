package archive

import (
	"context"
	"time"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

const retainPage = 512 // logs given up in one go

// retain gives up sealed logs that are older than what is kept, and the oldest
// while all together are larger. Logs of attempts that run are never given up.
func (a *Archive) retain(ctx context.Context) error {
	if a.config.Keep <= 0 && a.config.KeepBytes <= 0 {
		return nil
	}
	for {
		old, err := a.excess()
		if err != nil || len(old) == 0 {
			return err
		}
		a.logger.Info("logs are removed, as retention asks", "logs", len(old))
		// First they are gone for readers; a crash then leaves objects that are due to
		// be removed.
		if err := each(ctx, old, a.giveUp); err != nil {
			return err
		}
		if err := a.tidy(ctx); err != nil {
			return err
		}
	}
}

// excess returns some of the logs that are to be given up.
func (a *Archive) excess() (old []joblog.Key, err error) {
	total, now := a.Size(), a.config.Clock()
	err = a.catalog.oldest(func(k joblog.Key, at time.Time, stored int64) bool {
		tooOld := a.config.Keep > 0 && now.Sub(at) > a.config.Keep
		tooMuch := a.config.KeepBytes > 0 && total > a.config.KeepBytes
		if !tooOld && !tooMuch {
			return false
		}
		old, total = append(old, k), total-stored
		return len(old) < retainPage
	})
	return old, err
}

func (a *Archive) giveUp(_ context.Context, k joblog.Key) error {
	return a.catalog.change(func(t *tx) error {
		r, _, err := t.get(k)
		if err != nil {
			return err
		}
		r.flags = r.flags&^clean | gone
		r.segments = nil
		return t.put(k, r)
	})
}
