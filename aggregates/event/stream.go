package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/id"
)

// Kinds of streams: what stands before the first hyphen of a stream's name.
const (
	KindJob       = "job"
	KindWorker    = "worker"
	KindToken     = "token"
	KindNamespace = "namespace"
	KindSettings  = "settings"
	KindServer    = "server"
	KindKey       = "key"
	KindSecret    = "secret"
)

// JobStream returns the name of a job's stream, such as job-7f3k9qd2.
func JobStream(i id.ID) string { return KindJob + "-" + i.String() }

// WorkerStream returns the name of a worker's stream.
func WorkerStream(i id.ID) string { return KindWorker + "-" + i.String() }

// TokenStream returns the name of a token's stream, of either sort of token.
func TokenStream(i id.ID) string { return KindToken + "-" + i.String() }

// NamespaceStream returns the name of a namespace's stream.
func NamespaceStream(name string) string { return KindNamespace + "-" + name }

// SettingsStream returns the name of the one stream of settings.
func SettingsStream() string { return KindSettings }

// ServerStream returns the name of a server's stream.
func ServerStream(i id.ID) string { return KindServer + "-" + i.String() }

// KeyStream returns the name of the stream of an idempotency key, which is the
// namespace's own. Only a hash of the key is in it, so a key may be any text.
func KeyStream(namespace, key string) string {
	sum := sha256.Sum256([]byte(namespace + "\x00" + key))
	return KindKey + "-" + hex.EncodeToString(sum[:])
}

// SecretStream returns the name of a stored secret's stream, such as
// secret-web/db-password.
func SecretStream(namespace, name string) string { return KindSecret + "-" + namespace + "/" + name }

// ParseSecretStream returns what SecretStream was given.
func ParseSecretStream(stream string) (namespace, name string, ok bool) {
	kind, both := ParseStream(stream)
	namespace, name, ok = strings.Cut(both, "/")
	return namespace, name, ok && kind == KindSecret
}

// ParseStream splits a stream's name into its kind and the name of the thing:
// job-7f3k9qd2 into job and 7f3k9qd2. A stream that is the only one of its kind,
// as settings, has no name.
func ParseStream(stream string) (kind, name string) {
	kind, name, _ = strings.Cut(stream, "-")
	return kind, name
}
