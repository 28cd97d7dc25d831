// Package placement plans.
package placement
