package bundles

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
)

// Names in the store. Every name of an upload contains the upload's file id and
// the announced MD5, so that anybody with access to the store can check a file
// with md5sum.
//
//	bundles/<file id>/<md5>           sent through a server, which checked the file on its way
//	bundles/<file id>/<md5>.<random>  a server's copy of a file of incoming/, for the check
//	incoming/<file id>/<md5>          sent to the store directly, and not checked
//
// Only servers write below bundles/, each name once. Only files below bundles/
// are published.
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

// location is a parsed name in the store.
type location struct {
	fileID, md5 string
	incoming    bool
	copied      bool
}

var locationForm = regexp.MustCompile(`^(` + folder + `|` + incoming + `)([0-9a-f]{16})/([0-9a-f]{32})(\.[0-9a-f]{16})?$`)

// parseLocation parses a name of one of the forms above, and no other name.
func parseLocation(name string) (location, bool) {
	match := locationForm.FindStringSubmatch(name)
	if match == nil || match[1] == incoming && match[4] != "" {
		return location{}, false
	}
	return location{fileID: match[2], md5: match[3], incoming: match[1] == incoming, copied: match[4] != ""}, true
}
