package authority

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer        = "hodei"
	purpose       = "worker-token" // of the keys in the keyring
	maxTokenBytes = 8 << 10
)

// ErrToken is wrapped by what [Authority.Verify] answers for a token that is not
// one of ours, is not valid any more, or is for another server.
var ErrToken = errors.New("worker token is not valid")

// Claims are what a worker token says.
type Claims struct {
	ID       string            // of the token: each is used by one key only
	WorkerID string            // the worker it was made for; empty is any
	Pool     string            // the worker will belong to; empty is none
	Labels   map[string]string // the worker will have, over those it names itself
	Expires  time.Time
}

// wire is how claims stand in the token.
type wire struct {
	jwt.RegisteredClaims
	Pin    string            `json:"pin"`
	Pool   string            `json:"pool,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// IssueWorkerToken returns a token: a JWT signed with Ed25519. It is a secret.
func (a *Authority) IssueWorkerToken(ctx context.Context, c Claims) (string, error) {
	kid, key, err := a.config.Keyring.SigningKey(ctx, purpose)
	if err != nil {
		return "", fmt.Errorf("cannot sign a worker token: %w", err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, wire{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, ID: c.ID, Subject: c.WorkerID,
			IssuedAt:  jwt.NewNumericDate(a.config.Clock()),
			ExpiresAt: jwt.NewNumericDate(c.Expires),
		},
		Pin: a.pin.String(), Pool: c.Pool, Labels: c.Labels,
	})
	token.Header["kid"] = kid
	return token.SignedString(key)
}

// Verify returns what the token says if it was issued here and is valid now. The
// algorithm is fixed, the key is the one its id names.
func (a *Authority) Verify(ctx context.Context, token string) (Claims, error) {
	if len(token) > maxTokenBytes {
		return Claims{}, fmt.Errorf("%w: it is longer than %d bytes", ErrToken, maxTokenBytes)
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(a.config.Clock),
		jwt.WithStrictDecoding(),
	)
	var ring error // a keyring that can't be read is not the token's fault
	var w wire
	_, err := parser.ParseWithClaims(token, &w, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		keys, err := a.config.Keyring.VerifyKeys(ctx, purpose)
		if ring = err; err != nil {
			return nil, err
		}
		key, ok := keys[kid]
		if !ok {
			return nil, errors.New("it is signed with an unknown key")
		}
		return key, nil
	})
	switch {
	case ring != nil:
		return Claims{}, fmt.Errorf("cannot check a worker token: %w", ring)
	case errors.Is(err, jwt.ErrTokenExpired):
		return Claims{}, fmt.Errorf("%w: it expired at %s", ErrToken, w.ExpiresAt.UTC().Format(time.RFC3339))
	case err != nil:
		return Claims{}, fmt.Errorf("%w: %w", ErrToken, err)
	case w.ID == "":
		return Claims{}, fmt.Errorf("%w: it has no id", ErrToken)
	case w.Pin != a.pin.String():
		return Claims{}, fmt.Errorf("%w: it is for a server with another key", ErrToken)
	}
	return Claims{ID: w.ID, WorkerID: w.Subject, Pool: w.Pool, Labels: w.Labels, Expires: w.ExpiresAt.Time}, nil
}
