// Package link connects an agent to its server. All that an agent is given is a
// URL and a token; the token names the key of the authority it may trust.
package link

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

const (
	scheme = "grpcs"

	// Fixed windows turn gRPC's own measuring of the connection off, whose pings
	// some proxies count as abuse.
	streamWindow     = 1 << 20
	connectionWindow = 1 << 20
	ioBuffer         = 8 << 10 // small, so that an idle agent stays small
)

// Pin is the SHA-256 of the authority's public key (its SubjectPublicKeyInfo).
type Pin [sha256.Size]byte

// ParsePin reads the hexadecimal form.
func ParsePin(s string) (Pin, error) {
	var pin Pin
	data, err := hex.DecodeString(s)
	if err != nil || len(data) != len(pin) {
		return pin, errors.New("a pin is 64 hexadecimal digits")
	}
	copy(pin[:], data)
	return pin, nil
}

// String is the hexadecimal form.
func (p Pin) String() string { return hex.EncodeToString(p[:]) }

// PinOf reads the pin from a worker token. It checks no signature: whoever gave
// the agent its token could as well give it another pin.
func PinOf(token string) (Pin, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Pin{}, errors.New("the worker token is not a JWT (three parts with dots between them)")
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Pin{}, errors.New("the worker token is damaged: its second part is not base64url")
	}
	var claims struct {
		Pin string `json:"pin"`
	}
	if err := json.Unmarshal(data, &claims); err != nil {
		return Pin{}, errors.New("the worker token is damaged: its second part is not JSON")
	}
	pin, err := ParsePin(claims.Pin)
	if err != nil {
		return Pin{}, fmt.Errorf("the worker token names no server key (claim \"pin\"): %w", err)
	}
	return pin, nil
}

// Address reads host and port from a URL such as grpcs://hodei.example:9090.
func Address(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("the server's URL is not one: %w", err)
	}
	_, port, err := net.SplitHostPort(u.Host)
	if u.Scheme != scheme || err != nil || port == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("the server's URL must look like %s://host:port, not %q", scheme, server)
	}
	return u.Host, nil
}

// Dial prepares one connection for one try. It doesn't connect yet: the first
// call does, once, and fails if it can't. The caller closes it.
func Dial(address string, pin Pin) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(pinned(pin))),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithIdleTimeout(0),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithReadBufferSize(ioBuffer),
	)
}

// WithToken adds the bearer that registers an agent.
func WithToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// pinned accepts a server whose chain leads to the pinned key, whatever name its
// certificate carries. VerifyConnection is called on resumed connections too.
func pinned(pin Pin) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // the name and the public roots; the chain is checked below
		VerifyConnection:   func(state tls.ConnectionState) error { return verify(state.PeerCertificates, pin, time.Now()) },
	}
}

func verify(chain []*x509.Certificate, pin Pin, now time.Time) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, certificate := range chain {
		sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
		if subtle.ConstantTimeCompare(sum[:], pin[:]) == 1 {
			roots.AddCert(certificate)
			found = true
			continue
		}
		others.AddCert(certificate)
	}
	if !found {
		return errors.New("the server is not the one the worker token is for: no certificate of it has the pinned key")
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: others,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}
