package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// tokenPrefix tells people what the line is, and programs which version.
	tokenPrefix = "ravno1."

	// maxAddresses is more ways to one hub than anyone has (LAN, two lines, a VPN).
	maxAddresses = 8
	// maxAddressBytes holds the longest DNS name (253) with a port, in a length of one byte.
	maxAddressBytes = 255

	checksumBytes   = 4
	maxPayloadBytes = 2*sha256.Size + 8 + 1 + maxNameBytes + 1 + maxAddresses*(1+maxAddressBytes)
	maxTokenBytes   = len(tokenPrefix) + (maxPayloadBytes+checksumBytes+2)/3*4
)

// ErrDamagedToken says that a line is no token, or not the whole of one.
var ErrDamagedToken = errors.New("the token is cut short or mistyped: copy the whole line")

// Token is carried by an admin from the hub to a new node. It says where the hub is and which CA to
// trust, and has a secret that is good for one enrolment. The hub keeps only HashSecret(Secret). The
// holder of a token can enrol until it is used or expires. So Secret, and with it String, belong on
// the admin's terminal and in no log.
//
// The payload, before base64url: CA fingerprint (32), secret (32), expiry in Unix seconds
// (8, big-endian), name length (1), name, number of addresses (1), then length (1) and text of
// each, and last the CRC-32C of all this (4).
type Token struct {
	Addresses     []string // host:port of the hub, in the order to try; 1 to 8
	CAFingerprint [sha256.Size]byte
	Secret        [sha256.Size]byte
	Name          string    // the label of the server to be; 1 to 64 bytes
	Expires       time.Time // whole seconds, UTC; judged by the hub, shown by the node
}

// NewToken draws a secret for a new server. Expiry is cut to whole seconds.
func NewToken(name string, addresses []string, ca [sha256.Size]byte, expires time.Time) (Token, error) {
	token := Token{Addresses: addresses, CAFingerprint: ca, Name: name, Expires: time.Unix(expires.Unix(), 0).UTC()}
	rand.Read(token.Secret[:]) // never fails: crypto/rand ends the process instead
	if err := token.check(); err != nil {
		return Token{}, fmt.Errorf("identity: join token: %w", err)
	}
	return token, nil
}

// String is the line to paste: "ravno1." and base64url. It contains the secret.
func (t Token) String() string {
	payload := make([]byte, 0, maxPayloadBytes+checksumBytes)
	payload = append(payload, t.CAFingerprint[:]...)
	payload = append(payload, t.Secret[:]...)
	payload = binary.BigEndian.AppendUint64(payload, uint64(t.Expires.Unix()))
	payload = append(payload, byte(len(t.Name)))
	payload = append(payload, t.Name...)
	payload = append(payload, byte(len(t.Addresses)))
	for _, address := range t.Addresses {
		payload = append(payload, byte(len(address)))
		payload = append(payload, address...)
	}
	payload = binary.BigEndian.AppendUint32(payload, checksum(payload))
	return tokenPrefix + tokenEncoding().EncodeToString(payload)
}

// ParseToken reads the line back. White space around it is forgiven. Errors never repeat the line,
// because it holds a secret.
func ParseToken(line string) (Token, error) {
	line = strings.TrimSpace(line)
	encoded, found := strings.CutPrefix(line, tokenPrefix)
	switch {
	case !found:
		return Token{}, fmt.Errorf("identity: a join token begins with %q: %w", tokenPrefix, ErrDamagedToken)
	case len(line) > maxTokenBytes:
		return Token{}, fmt.Errorf("identity: %d characters, a join token has at most %d: %w", len(line), maxTokenBytes,
			ErrDamagedToken)
	case strings.ContainsFunc(line, unicode.IsSpace):
		return Token{}, fmt.Errorf("identity: there is white space inside the join token: %w", ErrDamagedToken)
	}
	payload, err := tokenEncoding().DecodeString(encoded)
	if err != nil || len(payload) < checksumBytes {
		return Token{}, fmt.Errorf("identity: %w", ErrDamagedToken)
	}
	payload, sum := payload[:len(payload)-checksumBytes], payload[len(payload)-checksumBytes:]
	if binary.BigEndian.Uint32(sum) != checksum(payload) {
		return Token{}, fmt.Errorf("identity: %w", ErrDamagedToken)
	}
	token, err := decodeToken(payload)
	if err != nil {
		return Token{}, fmt.Errorf("identity: join token: %w", err)
	}
	return token, nil
}

func decodeToken(payload []byte) (Token, error) {
	reader := tokenReader{rest: payload}
	var token Token
	copy(token.CAFingerprint[:], reader.take(len(token.CAFingerprint)))
	copy(token.Secret[:], reader.take(len(token.Secret)))
	if expires := reader.take(8); expires != nil {
		token.Expires = time.Unix(int64(binary.BigEndian.Uint64(expires)), 0).UTC()
	}
	token.Name = string(reader.take(reader.length()))
	for range min(reader.length(), maxAddresses+1) { // one too many is for check to refuse
		token.Addresses = append(token.Addresses, string(reader.take(reader.length())))
	}
	if reader.short || len(reader.rest) != 0 {
		return Token{}, errors.New("its parts do not fit together: made by another version of ravno")
	}
	return token, token.check()
}

// check holds both ends to the same limits, so that ParseToken takes every token of NewToken.
func (t Token) check() error {
	if t.Name == "" || len(t.Name) > maxNameBytes || !utf8.ValidString(t.Name) ||
		strings.ContainsFunc(t.Name, unicode.IsControl) {
		return fmt.Errorf("name %q: want 1 to %d bytes of printable UTF-8", t.Name, maxNameBytes)
	}
	if len(t.Addresses) == 0 || len(t.Addresses) > maxAddresses {
		return fmt.Errorf("%d addresses of the hub: want 1 to %d", len(t.Addresses), maxAddresses)
	}
	for _, address := range t.Addresses {
		if err := checkAddress(address); err != nil {
			return err
		}
	}
	if t.Expires.Unix() <= 0 {
		return fmt.Errorf("expiry %s is before 1970", t.Expires)
	}
	return nil
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || len(address) > maxAddressBytes || !printableASCII(address) {
		return fmt.Errorf("address %q of the hub: want HOST:PORT, at most %d characters", address, maxAddressBytes)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return fmt.Errorf("address %q of the hub: port %q is not a number from 1 to 65535", address, port)
	}
	return nil
}

func printableASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// tokenReader takes parts off a payload. Once one is short, all parts after it are empty.
type tokenReader struct {
	rest  []byte
	short bool
}

func (r *tokenReader) take(n int) []byte {
	if r.short || n > len(r.rest) {
		r.short = true
		return nil
	}
	part := r.rest[:n]
	r.rest = r.rest[n:]
	return part
}

func (r *tokenReader) length() int {
	if part := r.take(1); part != nil {
		return int(part[0])
	}
	return 0
}

// tokenEncoding is strict, so that two different lines never mean the same token.
func tokenEncoding() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// checksum is CRC-32C. It always notices a single mistyped character, an error burst of at most 32 bits,
// while a cut hash only probably would. It guards against accidents, and the secret against forgery.
func checksum(payload []byte) uint32 {
	return crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli))
}

// secretDomain keeps the stored hash apart from every other SHA-256 of the same bytes.
const secretDomain = "ravno join secret 1\x00"

// HashSecret is the hash of a secret, which the hub stores in its place. The secret has 256 random bits,
// so nobody can guess it and a plain, fast hash is enough.
func HashSecret(secret [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte(secretDomain), secret[:]...))
}

// EqualHash compares two hashes in constant time.
func EqualHash(a, b [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
