// Package wal is a journal.
package wal

import "encoding/json"

func Encode(v any) ([]byte, error) { return json.Marshal(v) }
