package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// cost is the cost of a hash.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

// defaultCost is the cost of a new hash: the minimum of OWASP's Password Storage Cheat Sheet
// for one lane.
var defaultCost = cost{memory: 19456, passes: 2, lanes: 1} //nolint:gochecknoglobals // a constant that Go has no form for

const (
	saltLen = 16 // bytes, as RFC 9106 recommends
	keyLen  = 32 // bytes
)

// hash is a parsed PHC string:
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// Salt and key are base64 without padding. The source is the PHC string format of the Password
// Hashing Competition.
type hash struct {
	cost
	salt, key []byte
}

// String returns the PHC string.
func (h hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.key))
}

// errNotHash does not contain the text, which may be a password.
var errNotHash = errors.New("the stored password is not an argon2id hash in the PHC form, or costs too much")

// parse returns the hash of a PHC string. It refuses a hash that costs more than a few times the
// default, so that a person with write access to the database cannot block the server by a
// login.
func parse(phc string) (hash, error) {
	if len(phc) > 256 {
		return hash{}, errNotHash
	}
	parts := strings.Split(phc, "$")
	if len(parts) != 6 {
		return hash{}, errNotHash
	}
	var h hash
	_, errCost := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.lanes)
	salt, errSalt := base64.RawStdEncoding.DecodeString(parts[4])
	key, errKey := base64.RawStdEncoding.DecodeString(parts[5])
	if err := errors.Join(errCost, errSalt, errKey); err != nil {
		return hash{}, errNotHash
	}
	h.salt, h.key = salt, key

	// Only the exact text of String is valid. This excludes other algorithms and versions, +1,
	// leading zeros and unused bits.
	if h.String() != phc || !h.affordable() || len(salt) < 8 || len(key) < 16 {
		return hash{}, errNotHash
	}
	return h, nil
}

// affordable reports whether the cost is within limits. The minimum is required by argon2, which
// otherwise panics: one pass, one lane, and eight blocks per lane.
func (c cost) affordable() bool {
	return c.lanes >= 1 && c.lanes <= 4 &&
		c.passes >= 1 && c.passes <= 8 &&
		c.memory >= 8*uint32(c.lanes) && c.memory <= 64<<10
}
