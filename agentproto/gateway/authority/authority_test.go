package authority_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
)

func newKeyring(t *testing.T) *keyring.File {
	t.Helper()
	dir := t.TempDir()
	k, err := keyring.OpenFile(filepath.Join(dir, "keyring"), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func open(t *testing.T, c authority.Config) *authority.Authority {
	t.Helper()
	a, err := authority.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var someTime = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func TestAuthorityStaysTheSame(t *testing.T) {
	keys := newKeyring(t)
	first, second := open(t, authority.Config{Keyring: keys}), open(t, authority.Config{Keyring: keys})
	if first.Pin() != second.Pin() {
		t.Errorf("the pin was %s and is %s", first.Pin(), second.Pin())
	}
	if other := open(t, authority.Config{Keyring: newKeyring(t)}); other.Pin() == first.Pin() {
		t.Error("two servers have one authority")
	}
}

// chain returns what a client is shown.
func chain(t *testing.T, c *tls.Config) []*x509.Certificate {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	go func() { _ = tls.Server(server, c).Handshake() }()
	conn := tls.Client(client, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates
}

// leads reports whether the chain leads to the pinned key, as an agent checks it.
func leads(certs []*x509.Certificate, pin authority.Pin) bool {
	for i, c := range certs {
		if i > 0 && certs[i-1].CheckSignatureFrom(c) != nil {
			return false
		}
		if sha256.Sum256(c.RawSubjectPublicKeyInfo) == pin {
			return true
		}
	}
	return false
}

func TestServerCertificateIsRenewedAndLeadsToThePin(t *testing.T) {
	now := someTime
	a := open(t, authority.Config{Keyring: newKeyring(t), Names: []string{"ci.example", "10.1.2.3"}, Clock: func() time.Time { return now }})
	first := chain(t, a.TLS())
	if !leads(first, a.Pin()) {
		t.Fatal("the chain does not lead to the pin")
	}
	for _, name := range []string{"ci.example", "10.1.2.3", "localhost"} {
		if err := first[0].VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	now = now.Add(59 * 24 * time.Hour)
	if !chain(t, a.TLS())[0].Equal(first[0]) {
		t.Error("the certificate was replaced although it has 31 days left")
	}
	now = now.Add(2 * 24 * time.Hour)
	second := chain(t, a.TLS())
	if second[0].Equal(first[0]) || second[0].NotAfter.Before(now.Add(80*24*time.Hour)) || !leads(second, a.Pin()) {
		t.Error("the certificate was not renewed with 29 days left")
	}
}

func TestConfiguredCertificate(t *testing.T) {
	source := open(t, authority.Config{Keyring: newKeyring(t)})
	pair, err := source.TLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var text []byte
	for _, der := range pair.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(certFile, text, 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	a := open(t, authority.Config{Keyring: newKeyring(t), CertFile: certFile, KeyFile: keyFile})
	if a.Pin() != source.Pin() || !leads(chain(t, a.TLS()), a.Pin()) {
		t.Error("the pin is not that of the last certificate in the file")
	}
	if _, err := authority.Open(t.Context(), authority.Config{CertFile: certFile, KeyFile: certFile}); err == nil {
		t.Error("a file without a key is accepted")
	}
}

func TestWorkerToken(t *testing.T) {
	now := someTime
	keys := newKeyring(t)
	a := open(t, authority.Config{Keyring: keys, Clock: func() time.Time { return now }})
	want := authority.Claims{ID: "abcdefgh", WorkerID: "w1", Pool: "gpu", Labels: map[string]string{"zone": "a"}, Expires: now.Add(10 * time.Minute)}
	token, err := a.IssueWorkerToken(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.RotateSigningKey(t.Context(), "worker-token"); err != nil {
		t.Fatal(err)
	}
	got, err := a.Verify(t.Context(), token)
	if err != nil || got.ID != want.ID || got.WorkerID != want.WorkerID || got.Pool != want.Pool ||
		got.Labels["zone"] != "a" || !got.Expires.Equal(want.Expires) {
		t.Errorf("got %+v, %v", got, err)
	}
	now = now.Add(11 * time.Minute)
	if _, err := a.Verify(t.Context(), token); !errors.Is(err, authority.ErrToken) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired token: %v", err)
	}
}

// failingKeyring can't be read.
type failingKeyring struct{ authority.Keyring }

func (failingKeyring) VerifyKeys(context.Context, string) (map[string]ed25519.PublicKey, error) {
	return nil, errors.New("disk on fire")
}

func TestForgedWorkerTokens(t *testing.T) {
	keys := newKeyring(t)
	a := open(t, authority.Config{Keyring: keys})
	kid, key, err := keys.SigningKey(t.Context(), "worker-token")
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public().(ed25519.PublicKey)
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"iss": "hodei", "jti": "abcdefgh", "exp": time.Now().Add(time.Hour).Unix(), "pin": a.Pin().String()}
		change(c)
		return c
	}
	same := func(jwt.MapClaims) {}
	sign := func(method jwt.SigningMethod, kid string, c jwt.MapClaims, key any) string {
		token := jwt.NewWithClaims(method, c)
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := sign(jwt.SigningMethodEdDSA, kid, claims(same), key)
	if _, err := a.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	_, stranger, _ := ed25519.GenerateKey(nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"` + kid + `"}`))
	for name, token := range map[string]string{
		"nothing":                             "",
		"words":                               "let me in",
		"no signature":                        none + "." + parts[1] + ".",
		"algorithm none":                      sign(jwt.SigningMethodNone, kid, claims(same), jwt.UnsafeAllowNoneSignatureType),
		"the public key as an HMAC secret":    sign(jwt.SigningMethodHS256, kid, claims(same), []byte(public)),
		"another key under our id":            sign(jwt.SigningMethodEdDSA, kid, claims(same), stranger),
		"an unknown key id":                   sign(jwt.SigningMethodEdDSA, "other", claims(same), key),
		"another issuer":                      sign(jwt.SigningMethodEdDSA, kid, claims(func(c jwt.MapClaims) { c["iss"] = "other" }), key),
		"no expiry":                           sign(jwt.SigningMethodEdDSA, kid, claims(func(c jwt.MapClaims) { delete(c, "exp") }), key),
		"no id":                               sign(jwt.SigningMethodEdDSA, kid, claims(func(c jwt.MapClaims) { delete(c, "jti") }), key),
		"a token of a server with other keys": sign(jwt.SigningMethodEdDSA, kid, claims(func(c jwt.MapClaims) { c["pin"] = strings.Repeat("0", 64) }), key),
		"changed claims":                      parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"hodei","jti":"abcdefgj"}`)) + "." + parts[2],
		"far too long":                        good + strings.Repeat("A", 10<<10),
	} {
		if _, err := a.Verify(t.Context(), token); !errors.Is(err, authority.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open(t, authority.Config{Keyring: failingKeyring{keys}}).Verify(t.Context(), good); err == nil || errors.Is(err, authority.ErrToken) {
		t.Errorf("a keyring that can't be read is called the token's fault: %v", err)
	}
}
