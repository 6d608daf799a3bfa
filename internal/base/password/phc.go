package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// cost is what one hash takes.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

// present is the cost of a new hash: the least of OWASP's Password Storage
// Cheat Sheet that goes with one lane.
var present = cost{memory: 19456, passes: 2, lanes: 1} //nolint:gochecknoglobals // a constant that Go has no form for

const (
	saltLen = 16 // bytes, as RFC 9106 recommends
	keyLen  = 32 // bytes
)

// hash is a PHC string taken apart:
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// where salt and key are base64 without padding. See the PHC string format of
// the Password Hashing Competition.
type hash struct {
	cost
	salt, key []byte
}

// String is the PHC string.
func (h hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.key))
}

// errNotHash does not quote the string: it may be anything, a password even.
var errNotHash = errors.New("the stored password is not an argon2id hash in the PHC form, or costs too much")

// parse reads a PHC string. It refuses what would cost more than a few times
// the present hash, so that whoever can write one into the database cannot
// bring down the server by a login.
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

	// Only what would be written in the same way counts: that leaves no room
	// for other algorithms and versions, +1, leading zeros or loose bits.
	if h.String() != phc || !h.affordable() || len(salt) < 8 || len(key) < 16 {
		return hash{}, errNotHash
	}
	return h, nil
}

// affordable is also what argon2 needs not to panic: at least one pass and one
// lane, and eight blocks a lane.
func (c cost) affordable() bool {
	return c.lanes >= 1 && c.lanes <= 4 &&
		c.passes >= 1 && c.passes <= 8 &&
		c.memory >= 8*uint32(c.lanes) && c.memory <= 64<<10
}
