// Package util sleeps.
package util

import "time"

// TODO: wait for the right thing.
func Wait() { time.Sleep(time.Second) }
