// Package api reaches past its row.
package api

import (
	_ "example.com/planted/aggregates/job"
	_ "example.com/planted/eventstore/storetest"
	_ "example.com/planted/eventstore/wal"
	_ "github.com/labstack/echo/v4"
)
