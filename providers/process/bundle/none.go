//go:build !release

package bundle

import "embed"

var agents embed.FS // empty
