package link

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestPinOf(t *testing.T) {
	pin := strings.Repeat("ab", 32)
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
	}
	for _, row := range []struct{ name, token, want string }{
		{"a token", jwt(`{"iss":"hodei","pin":"` + pin + `"}`), ""},
		{"not a JWT", "hodei_abc", "not a JWT"},
		{"damaged", "e30.***.sig", "not base64url"},
		{"no JSON", jwt(`{`), "not JSON"},
		{"no pin", jwt(`{"iss":"hodei"}`), `names no server key (claim "pin"): a pin is 64 hexadecimal digits`},
		{"a short pin", jwt(`{"pin":"abcd"}`), "64 hexadecimal digits"},
	} {
		got, err := PinOf(row.token)
		switch {
		case row.want == "" && (err != nil || got.String() != pin):
			t.Errorf("%s: %v, %v", row.name, got, err)
		case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		case err != nil && strings.Contains(err.Error(), row.token):
			t.Errorf("%s: the error shows the token: %v", row.name, err)
		}
	}
}

func TestAddress(t *testing.T) {
	for url, want := range map[string]string{
		"grpcs://host:7443":        "host:7443",
		"grpcs://[::1]:7443":       "[::1]:7443",
		"grpc://host:7443":         "",
		"https://host:7443":        "",
		"grpcs://host":             "",
		"grpcs://host:":            "",
		"grpcs://host:1/path":      "",
		"grpcs://user@host:1":      "",
		"host:7443":                "",
		"grpcs://host:7443?x=1":    "",
		"grpcs://ho st:7443":       "",
		"grpcs://host:7443/../etc": "",
	} {
		got, err := Address(url)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", url, got, err)
		}
	}
}

// issuer makes certificates for tests.
type issuer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func issue(t *testing.T, by *issuer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	change(template)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key, cert}
}

func (i *issuer) pin() Pin { return sha256.Sum256(i.cert.RawSubjectPublicKeyInfo) }

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
}

func plain(*x509.Certificate) {}

func TestVerify(t *testing.T) {
	ca, other := issue(t, nil, authority), issue(t, nil, authority)
	middle := issue(t, ca, authority)
	leaf := issue(t, ca, plain)
	for _, row := range []struct {
		name  string
		chain []*issuer
		pin   Pin
		ok    bool
	}{
		{"a certificate of the pinned authority", []*issuer{leaf, ca}, ca.pin(), true},
		{"one through another in between", []*issuer{issue(t, middle, plain), middle, ca}, ca.pin(), true},
		{"the pinned one in the middle of a chain", []*issuer{issue(t, middle, plain), middle}, middle.pin(), true},
		{"a pinned certificate of its own", []*issuer{leaf}, leaf.pin(), true},
		{"another authority", []*issuer{issue(t, other, plain), other}, ca.pin(), false},
		{"the pinned authority shown, but another's certificate", []*issuer{issue(t, other, plain), ca}, ca.pin(), false},
		{"the authority left out", []*issuer{leaf}, ca.pin(), false},
		{"one that has expired", []*issuer{issue(t, ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), ca}, ca.pin(), false},
		{"one that is not for servers", []*issuer{issue(t, ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), ca}, ca.pin(), false},
		{"none", nil, ca.pin(), false},
	} {
		var chain []*x509.Certificate
		for _, i := range row.chain {
			chain = append(chain, i.cert)
		}
		if err := verify(chain, row.pin, time.Now()); (err == nil) != row.ok {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
