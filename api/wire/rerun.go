package wire

import "encoding/json"

// Rerun says what of a job that is run again is other than it was.
type Rerun struct {
	Changes json.RawMessage `json:"changes,omitempty"`
	Replace bool            `json:"replace,omitempty"`
}
