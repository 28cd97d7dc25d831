package keyring

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"golang.org/x/crypto/chacha20poly1305"
)

// The file:
//
//	magic 16 B | generation 16 B, random
//	record 0: all there was when the file was written
//	record 1, 2, …: what changed since, each written and synced by itself
//
// A record:
//
//	length of sealed u32 | CRC32C of number and length u32 | nonce 24 B | sealed
//
// Sealed are changes (see content.go) under the wrapping key by
// XChaCha20-Poly1305. Its additional data are the file's head and the record's
// number, so that records can't be taken out, swapped, or brought over from
// another file. Numbers are big-endian.
const (
	magic           = "hodei keyring 2\n"
	generationBytes = 16
	headBytes       = len(magic) + generationBytes
	recordHeadBytes = 4 + 4
	nonceBytes      = chacha20poly1305.NonceSizeX
	overhead        = chacha20poly1305.Overhead

	maxFile = 256 << 20 // bytes

	// holeBytes is how many zeros in a row no sealed record has: where they stand, a
	// page was never written.
	holeBytes = 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newHead returns the head of a file that no other file has.
func newHead() ([]byte, error) {
	head := make([]byte, headBytes)
	copy(head, magic)
	_, err := rand.Read(head[len(magic):])
	return head, err
}

func additional(head []byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(head), number)
}

func recordSum(number uint64, length uint32) uint32 {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], number)
	binary.BigEndian.PutUint32(b[8:], length)
	return crc32.Checksum(b[:], castagnoli)
}

// appendRecord seals changes as the record with that number.
func appendRecord(to, head []byte, wrap *DataKey, number uint64, changes []change) ([]byte, error) {
	plain := encode(changes)
	length := len(plain) + overhead
	if len(to)+recordHeadBytes+nonceBytes+length > maxFile {
		return nil, fmt.Errorf("it would have more than %d bytes", maxFile)
	}
	box, err := chacha20poly1305.NewX(wrap[:])
	if err != nil {
		return nil, err
	}
	to = binary.BigEndian.AppendUint32(to, uint32(length))
	to = binary.BigEndian.AppendUint32(to, recordSum(number, uint32(length)))
	at := len(to)
	to = append(to, make([]byte, nonceBytes)...)
	nonce := to[at:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return box.Seal(to, bytes.Clone(nonce), plain, additional(head, number)), nil
}

// parsed is what a file's bytes say.
type parsed struct {
	content *content
	records uint64 // that were read
	torn    bool   // a last record was cut off by a crash; nobody was told that it is durable
}

// parse reads a file. A last record that a crash cut off is left out: it ends
// with the file before its time, or has a hole where a page was not written. The
// first record never is, for the file got its name only when it was whole. What
// is wrong otherwise is damage, and why says what.
func parse(file []byte, wrap *DataKey) (p parsed, why string) {
	if len(file) < headBytes || !bytes.HasPrefix(file, []byte(magic)) {
		return p, "it is not a keyring of this version"
	}
	box, err := chacha20poly1305.NewX(wrap[:])
	if err != nil {
		return p, err.Error()
	}
	head, rest := file[:headBytes], file[headBytes:]
	p.content = newContent()
	for ; len(rest) > 0 || p.records == 0; p.records++ {
		sealed, after, ok := cutRecord(rest, p.records)
		var plain []byte
		if ok {
			plain, err = box.Open(nil, sealed[:nonceBytes], sealed[nonceBytes:], additional(head, p.records))
			ok = err == nil
		}
		if !ok {
			if p.records == 0 || !cutOff(rest, p.records) {
				return p, fmt.Sprintf("record %d of it was changed, or was sealed with another key", p.records)
			}
			p.torn = true
			return p, ""
		}
		if err := decode(plain, p.content.apply); err != nil {
			return p, fmt.Sprintf("record %d of it can't be read", p.records)
		}
		rest = after
	}
	return p, ""
}

// cutRecord returns a record's nonce and sealed bytes, and what follows it.
func cutRecord(b []byte, number uint64) (sealed, rest []byte, ok bool) {
	if len(b) < recordHeadBytes {
		return nil, nil, false
	}
	length := binary.BigEndian.Uint32(b)
	end := recordHeadBytes + nonceBytes + int(length)
	if binary.BigEndian.Uint32(b[4:]) != recordSum(number, length) || length < overhead || end > len(b) {
		return nil, nil, false
	}
	return b[recordHeadBytes:end], b[end:], true
}

// cutOff reports whether what can't be read as a record is one whose write a crash
// cut off: the file ends within it, or pages of it are holes.
func cutOff(b []byte, number uint64) bool {
	if len(bytes.TrimRight(b, "\x00")) < recordHeadBytes {
		return true
	}
	length := binary.BigEndian.Uint32(b)
	if binary.BigEndian.Uint32(b[4:]) != recordSum(number, length) {
		return false
	}
	end := recordHeadBytes + nonceBytes + int(length)
	return end > len(b) || end == len(b) && bytes.Contains(b, make([]byte, holeBytes))
}
