package labels

import (
	"context"
	stdsql "database/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/instant"
	"tagma/internal/base/ttlcache"
)

// lookupKey identifies the rows to read before a submission is recorded. A row with
// an empty field is not read.
type lookupKey struct {
	user            int64
	labelSet        string
	video, filename string
}

// lookup is the rows of a lookupKey.
type lookup struct {
	author      string               // the user as the author of a commit: Name <address>
	set         *ent.LabelSet        // the last version, with its id only; nil if the set does not exist
	definitions []Definition         // the labels of set
	video       *ent.Video           // with its id and measures only; nil for a new video
	last        *ent.LabelSubmission // the last revision of the file, with its id, revision, status and content only; nil for a new file
}

// cachedLookup returns the author, the label set and the video of a lookup from the
// last half second, or nil. The returned time and number of changes are for
// cacheLookup.
//
// The last revision of a file is never cached. A cached lookup assumes a new file,
// and the database refuses the row of a file with revisions (see record). After such
// a refusal, cachedLookup returns nil for half a second, because more refusals may
// follow: somebody may send a thousand submissions again.
func (l *Service) cachedLookup(key lookupKey) (cached *lookup, now instant.Instant, changes int) {
	key.filename = ""
	now = l.clock()
	value, ok, changes := l.lookups.Get(key, now)
	if !ok || now.Sub(instant.Instant(l.lastConflict.Load())) < ttlcache.TTL {
		return nil, now, changes
	}
	return &value, now, changes
}

// cacheLookup caches a lookup for later submissions, without the last revision of the
// file. A lookup without a video is not cached, because the first submission creates
// the row of the video.
func (l *Service) cacheLookup(key lookupKey, result *lookup, at instant.Instant, changes int) {
	if result.video == nil {
		return
	}
	key.filename = ""
	value := *result
	value.last = nil
	l.lookups.Put(key, value, at, changes)
}

// lookupQuery is one statement, because a round trip to the database takes as long as
// recording a submission.
const lookupQuery = `SELECT u.username, u.email, s.id, s.labels, v.id, v.total_frames, v.fps, v.frame_width, v.frame_height,
	l.id, l.revision, l.status, l.content
FROM (SELECT 1) one
LEFT JOIN users u ON u.id = $1
LEFT JOIN label_sets s ON s.id = (SELECT id FROM label_sets WHERE name = $2 ORDER BY version DESC LIMIT 1)
LEFT JOIN videos v ON v.url = $3
LEFT JOIN label_submissions l ON l.id = (SELECT id FROM label_submissions WHERE filename = $4 ORDER BY revision DESC LIMIT 1)`

// lookUp returns the rows of a key from the database.
func (l *Service) lookUp(ctx context.Context, key lookupKey) (*lookup, error) {
	var username, email, status, content stdsql.NullString
	var set, video, last stdsql.Null[int64]
	var labels []byte
	var frames, width, height, revision stdsql.Null[int]
	var fps stdsql.NullFloat64
	err := l.db.SQL.QueryRowContext(ctx, lookupQuery, key.user, key.labelSet, key.video, key.filename).Scan(&username, &email, &set, &labels,
		&video, &frames, &fps, &width, &height, &last, &revision, &status, &content)
	if err != nil {
		return nil, err
	}
	result := &lookup{author: identityOf(username.String, email.String)}
	if set.Valid {
		result.set = &ent.LabelSet{ID: set.V}
		if result.definitions, err = l.cachedDefinitions(set.V, labels); err != nil {
			return nil, err
		}
	}
	if video.Valid {
		result.video = &ent.Video{ID: video.V, TotalFrames: frames.V, Fps: fps.Float64, FrameWidth: width.V, FrameHeight: height.V}
	}
	if last.Valid {
		result.last = &ent.LabelSubmission{ID: last.V, Revision: revision.V, Status: labelsubmission.Status(status.String), Content: content.String}
	}
	return result, nil
}
