package job

import (
	"sync"
	"time"
)

var mu sync.Mutex

func Decide() time.Time {
	done := make(chan time.Time)
	go func() { done <- time.Now() }()
	return <-done
}
