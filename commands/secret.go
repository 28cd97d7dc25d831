package commands

import (
	"crypto/sha256"
	"hash/crc32"
	"io"
	"math/big"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/fault"
)

// An API token is
//
//	hodei_  random                checksum
//	        43 characters (256 b) 6 characters (CRC32 of what is before it)
//
// in base 62, digits before capitals before small letters. The prefix lets
// scanners find a leaked one, the checksum tells a mistyped one from a revoked
// one without a look-up. Only its SHA-256 is kept.
const (
	TokenPrefix   = "hodei_"
	tokenBytes    = 32
	tokenRandom   = 43
	tokenChecksum = 6
	tokenLength   = len(TokenPrefix) + tokenRandom + tokenChecksum
	tokenHint     = 4
	base62        = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func newToken(random io.Reader) (string, error) {
	var b [tokenBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", &fault.Error{Kind: fault.Internal, Op: "make a token", Reason: "there is no randomness", Cause: err}
	}
	body := TokenPrefix + inBase62(new(big.Int).SetBytes(b[:]), tokenRandom)
	return body + checksum(body), nil
}

// TokenHash returns the hash an API token is known by. It reports false for what
// can't be a token, be it mistyped or cut.
func TokenHash(plain string) (hash [sha256.Size]byte, ok bool) {
	if len(plain) != tokenLength || !strings.HasPrefix(plain, TokenPrefix) {
		return hash, false
	}
	body := plain[:tokenLength-tokenChecksum]
	if checksum(body) != plain[len(body):] {
		return hash, false
	}
	return sha256.Sum256([]byte(plain)), true
}

func checksum(body string) string {
	return inBase62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))), tokenChecksum)
}

// inBase62 returns the last n digits of v, with leading zeros.
func inBase62(v *big.Int, n int) string {
	digits := make([]byte, n)
	base, digit := big.NewInt(int64(len(base62))), new(big.Int)
	for i := n - 1; i >= 0; i-- {
		v.DivMod(v, base, digit)
		digits[i] = base62[digit.Int64()]
	}
	return string(digits)
}
