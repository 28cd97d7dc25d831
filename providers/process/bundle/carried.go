//go:build release

package bundle

import "embed"

// The release program lays the agents there; see its package comment.
//
//go:embed agents
var agents embed.FS
