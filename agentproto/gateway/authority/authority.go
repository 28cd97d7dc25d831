// Package authority is what agents trust. It makes and keeps the server's own
// certificate authority, issues the server's certificate, and issues and checks
// worker tokens.
//
// An agent gets a URL and a token. The token carries the pin: the SHA-256 of the
// authority's public key. The agent accepts a server whose certificate chain
// leads to that key, whatever its name is. So neither names nor a shared
// trust store must be set up. With a certificate of the operator's own the pin is
// that of the last certificate in its file.
package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

const (
	caName       = "worker-ca"         // of the blob that holds key and certificate
	caYears      = 30                  // the pin names the key, so a longer life costs nothing
	leafLifetime = 90 * 24 * time.Hour // of the server's certificate
	leafRenewal  = 30 * 24 * time.Hour // a certificate with less left is replaced
	backdate     = 24 * time.Hour      // for agents whose clocks are behind
)

// Keyring keeps what must survive a restart and must never be in the log. Package
// eventstore/keyring has one.
type Keyring interface {
	// GetBlob returns a named secret, or ok = false.
	GetBlob(ctx context.Context, name string) (data []byte, ok bool, err error)
	// PutBlob stores it durably.
	PutBlob(ctx context.Context, name string, data []byte) error
	// SigningKey returns the newest key for a purpose, which it makes if there is
	// none.
	SigningKey(ctx context.Context, purpose string) (kid string, key ed25519.PrivateKey, err error)
	// VerifyKeys returns the public keys of a purpose by id, also older ones.
	VerifyKeys(ctx context.Context, purpose string) (map[string]ed25519.PublicKey, error)
}

// Pin is the SHA-256 of a public key's SubjectPublicKeyInfo.
type Pin [32]byte

// String is the form in tokens: lower case hexadecimal.
func (p Pin) String() string { return hex.EncodeToString(p[:]) }

// Config says where the authority's keys are.
type Config struct {
	Keyring Keyring
	Names   []string // names and addresses in the server's certificate, for clients that look at them

	// CertFile and KeyFile are a certificate chain and its key in PEM. Empty means
	// a certificate of the own authority. They are read again when the files were
	// replaced and a day has passed.
	CertFile, KeyFile string

	Clock func() time.Time // nil is time.Now
}

// Authority issues certificates and tokens. It is safe for concurrent use.
type Authority struct {
	config Config
	ca     *x509.Certificate // nil with a configured certificate
	caKey  *ecdsa.PrivateKey
	pin    Pin

	mu    sync.Mutex
	leaf  *tls.Certificate
	renew time.Time // when leaf is looked at again
}

// Open loads the authority from the keyring, or makes it at the first start.
func Open(ctx context.Context, c Config) (*Authority, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	a := &Authority{config: c}
	if c.CertFile != "" || c.KeyFile != "" {
		return a, a.loadConfigured()
	}
	if err := a.loadCA(ctx); err != nil {
		return nil, err
	}
	a.pin = pinOf(a.ca)
	return a, a.issue()
}

// Pin is what agents compare the server with.
func (a *Authority) Pin() Pin { return a.pin }

// TLS returns a configuration for the server: TLS 1.3, and always a certificate
// that is still valid.
func (a *Authority) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"h2"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.certificate() },
	}
}

// certificate returns the server's certificate and replaces it in time. If that
// fails the old one is used as long as it is valid.
func (a *Authority) certificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.config.Clock().Before(a.renew) {
		return a.leaf, nil
	}
	renew := a.issue
	if a.ca == nil {
		renew = a.loadConfigured
	}
	if err := renew(); err != nil && a.config.Clock().After(a.leaf.Leaf.NotAfter) {
		return nil, err
	}
	return a.leaf, nil
}

// loadConfigured reads the operator's certificate. The pin stays what it was at
// the start: tokens name it.
func (a *Authority) loadConfigured() error {
	pair, err := tls.LoadX509KeyPair(a.config.CertFile, a.config.KeyFile)
	if err != nil {
		return fmt.Errorf("cannot load the server's certificate: %w", err)
	}
	last, err := x509.ParseCertificate(pair.Certificate[len(pair.Certificate)-1])
	if err != nil {
		return fmt.Errorf("cannot read the last certificate of %s: %w", a.config.CertFile, err)
	}
	if pin := pinOf(last); a.leaf == nil {
		a.pin = pin
	} else if pin != a.pin {
		return errors.New("the certificate file now leads to another key; agents know the one before: restart the server and issue new worker tokens")
	}
	a.leaf, a.renew = &pair, a.config.Clock().Add(24*time.Hour)
	return nil
}

// loadCA reads key and certificate from the keyring, or makes and stores them.
func (a *Authority) loadCA(ctx context.Context) error {
	data, ok, err := a.config.Keyring.GetBlob(ctx, caName)
	if err != nil {
		return fmt.Errorf("cannot read the worker authority: %w", err)
	}
	if ok {
		return a.parseCA(data)
	}
	if data, err = newCA(a.config.Clock()); err != nil {
		return fmt.Errorf("cannot make the worker authority: %w", err)
	}
	if err := a.config.Keyring.PutBlob(ctx, caName, data); err != nil {
		return fmt.Errorf("cannot keep the worker authority: %w", err)
	}
	return a.parseCA(data)
}

// issue makes a certificate for the server.
func (a *Authority) issue() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := a.config.Clock()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "hodei server"},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(leafLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range append([]string{"hodei", "localhost"}, a.config.Names...) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := sign(template, a.ca, &key.PublicKey, a.caKey)
	if err != nil {
		return fmt.Errorf("cannot issue the server's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	a.leaf = &tls.Certificate{Certificate: [][]byte{der, a.ca.Raw}, PrivateKey: key, Leaf: leaf}
	a.renew = now.Add(leafLifetime - leafRenewal)
	return nil
}

// newCA makes a key and its certificate, as two DER values one after the other.
func newCA(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "hodei worker authority"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.AddDate(caYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	return append(cert, der...), err
}

func (a *Authority) parseCA(data []byte) error {
	var cert asn1.RawValue
	key, err := asn1.Unmarshal(data, &cert)
	if err != nil {
		return fmt.Errorf("cannot read the worker authority: %w", err)
	}
	if a.ca, err = x509.ParseCertificate(cert.FullBytes); err != nil {
		return fmt.Errorf("cannot read the worker authority's certificate: %w", err)
	}
	if a.caKey, err = x509.ParseECPrivateKey(key); err != nil {
		return fmt.Errorf("cannot read the worker authority's key: %w", err)
	}
	if !a.caKey.PublicKey.Equal(a.ca.PublicKey) {
		return errors.New("the worker authority's key and certificate do not belong together")
	}
	return nil
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	return x509.CreateCertificate(rand.Reader, template, parent, public, key)
}

func pinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }
