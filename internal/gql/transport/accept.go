package transport

import (
	"cmp"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The media types of an answer. With plainJSON, which older clients expect, the
// status of an invalid operation is 200; with responseJSON the status is 400.
const (
	responseJSON = "application/graphql-response+json"
	plainJSON    = "application/json"
)

// match is the rank of a media type in an Accept header.
type match struct {
	quality     float64
	specificity int // 1 for */*, 2 for application/*, 3 for its own name
	position    int // in the header
}

// negotiate returns the media type of the answer: the type with the highest quality,
// then with the more specific media range, then the first. If the header accepts
// neither type, negotiate returns the type for the error.
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

// consider updates the match of mediaType by one media range of the header. The most
// specific media range counts, whatever its quality.
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
