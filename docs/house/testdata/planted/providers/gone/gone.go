// Package gone has no row.
package gone
