// Package providers is the port to whatever can start workers: this machine, a
// container engine, a cluster, a user's own command. A provider's duty ends once
// the agent runs: from then on the agent speaks for itself.
package providers

import "context"

// Launch says which worker to start.
type Launch struct {
	Worker    string // its id
	Name      string // what people call it
	Token     string // its worker token: a secret, never on a command line or in a log
	ServerURL string // grpcs://HOST:PORT
	Labels    map[string]string
}

// Instance is a worker that a provider has started and that may still run.
type Instance struct {
	Worker string // its id
	Handle string // the provider's own name for it
}

// Provider starts and stops workers. All methods are safe for concurrent use.
type Provider interface {
	// Name is the provider's kind, such as process.
	Name() string

	// Launch starts a worker and returns once it was started, not once it is
	// connected. The worker outlives this process. The handle is durable before
	// Launch returns. A worker that runs already is not started twice: its handle
	// is returned.
	Launch(ctx context.Context, l Launch) (handle string, err error)

	// Running returns the workers that run, also those that another process of
	// this provider has started. Those that are found are returned beside an
	// error because of others.
	Running(ctx context.Context) ([]Instance, error)

	// Ended returns a channel that is closed when the worker with this handle
	// has ended, or is not known. It is released when ctx ends.
	Ended(ctx context.Context, handle string) (<-chan struct{}, error)

	// Stop asks a worker to end and returns when it has; when ctx ends first, it
	// is ended by force. One that is gone is no error.
	Stop(ctx context.Context, handle string) error
}
