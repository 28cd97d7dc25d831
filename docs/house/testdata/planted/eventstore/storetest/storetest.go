// Package storetest proves a store.
package storetest

import _ "example.com/planted/eventstore/wal"
