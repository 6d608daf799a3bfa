package bundles

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
)

// Names in the store. An upload's file id is in all that belongs to it, and the
// MD5 that a file should have, so that a person who looks into the store can
// check it with md5sum.
//
//	bundles/<file id>/<md5>           came through a server, which checked it on its way
//	bundles/<file id>/<md5>.<random>  a server's copy of what came to the store itself, made to be checked
//	incoming/<file id>/<md5>          came to the store itself, and is whatever somebody sent
//
// Only servers write below bundles/, each name once, and only what is there is
// ever published.
const (
	folder   = "bundles/"
	incoming = "incoming/"
)

func storedName(fileID, md5 string) string   { return folder + fileID + "/" + md5 }
func incomingName(fileID, md5 string) string { return incoming + fileID + "/" + md5 }
func newCopyName(fileID, md5 string) string  { return storedName(fileID, md5) + "." + newFileID() }

func newFileID() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: see its documentation
	return hex.EncodeToString(random[:])
}

// location is what a name in the store says.
type location struct {
	fileID, md5 string
	incoming    bool
	copied      bool
}

var locationForm = regexp.MustCompile(`^(` + folder + `|` + incoming + `)([0-9a-f]{16})/([0-9a-f]{32})(\.[0-9a-f]{16})?$`)

// parseLocation reads the names above, and nothing else.
func parseLocation(name string) (location, bool) {
	found := locationForm.FindStringSubmatch(name)
	if found == nil || found[1] == incoming && found[4] != "" {
		return location{}, false
	}
	return location{fileID: found[2], md5: found[3], incoming: found[1] == incoming, copied: found[4] != ""}, true
}
