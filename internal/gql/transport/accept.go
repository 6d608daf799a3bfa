package transport

import (
	"cmp"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The media types of an answer. They differ in the status of a request that
// never ran: 400 in the one, 200 in the other, which older clients expect.
const (
	responseJSON = "application/graphql-response+json"
	plainJSON    = "application/json"
)

// match is how well a media type fits an Accept header.
type match struct {
	quality     float64
	specificity int // 1 for */*, 2 for application/*, 3 for its own name
	position    int // in the header
}

// negotiate chooses the media type of the answer: that of the highest quality,
// then the one mediaRange for by name, then the one mediaRange for first. If neither of
// them is acceptable, the type is the one in which to say so.
func negotiate(header http.Header) (mediaType string, acceptable bool) {
	accept := strings.Join(header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return plainJSON, true
	}
	var plain, response match
	position := 0
	for item := range strings.SplitSeq(accept, ",") {
		position++
		mediaRange, params, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, ok := params["q"]; ok {
			if quality, err = strconv.ParseFloat(q, 64); err != nil || !(quality >= 0 && quality <= 1) {
				continue
			}
		}
		plain.consider(plainJSON, mediaRange, quality, position)
		response.consider(responseJSON, mediaRange, quality, position)
	}
	if response.compare(plain) > 0 {
		return responseJSON, response.quality > 0
	}
	return plainJSON, plain.quality > 0
}

// consider takes note of what the header says of mediaType in one place. What
// names it more closely counts, whatever its quality.
func (m *match) consider(mediaType, mediaRange string, quality float64, position int) {
	specificity := 0
	switch mediaRange {
	case mediaType:
		specificity = 3
	case "application/*":
		specificity = 2
	case "*/*":
		specificity = 1
	}
	if specificity > m.specificity {
		*m = match{quality, specificity, position}
	}
}

func (m match) compare(other match) int {
	return cmp.Or(
		cmp.Compare(m.quality, other.quality),
		cmp.Compare(m.specificity, other.specificity),
		cmp.Compare(other.position, m.position),
	)
}
