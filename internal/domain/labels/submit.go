package labels

import (
	"context"
	"strings"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
)

// Outcome says whether a submission was recorded.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "ACCEPTED"
	NoChange Outcome = "NO_CHANGE"
)

// Receipt is the answer to a submission.
type Receipt struct {
	Outcome    Outcome
	Submission *ent.LabelSubmission
}

// Submit validates and records a submission by the caller, and returns the receipt.
// When Submit returns without error, the submission survives a crash and will reach
// the repository.
//
// For the same submission again, Submit returns NoChange, so a retry does no harm. If
// the submission had failed, Submit queues the submission again. Other content for
// the same frame and time is a new revision of the file. Submit waits at most wait
// for the submission to reach the repository: see Await.
func (l *Service) Submit(ctx context.Context, s *Submission, wait time.Duration) (*Receipt, error) {
	c := caller.From(ctx)
	if c == nil {
		return nil, fault.New(fault.Unauthenticated, "sign in to submit labels")
	}
	name := DefaultSet
	if s.LabelSet != nil {
		name = *s.LabelSet
	}
	key := lookupKey{user: c.UserID, labelSet: name, video: s.VideoURL, filename: s.filename()}
	rows, now, changes := l.cachedLookup(key)
	if rows == nil || rows.validate(s, name) != nil {
		var err error
		if rows, err = l.lookUp(ctx, key); err != nil {
			return nil, err
		}
		if err := rows.validate(s, name); err != nil {
			return nil, err
		}
		l.cacheLookup(key, rows, now, changes)
	}
	e, err := newEntry(ctx, s, rows.set.ID, origin{by: &c.UserID, author: rows.author, at: now})
	if err != nil {
		return nil, err
	}
	e.lookup = rows
	receipt, err := l.recordInGroup(e)
	if err != nil {
		return nil, err
	}
	if receipt.Submission.Status == labelsubmission.StatusQUEUED {
		l.arrivals.send()
		l.notify(receipt.Submission.ID)
	}
	if wait > 0 {
		receipt.Submission, err = l.Await(ctx, receipt.Submission.ID, wait)
	}
	return receipt, err
}

// validate returns an error with all problems of a submission. name is the name of
// the label set, for the message.
func (r *lookup) validate(s *Submission, name string) error {
	var problems fault.Problems
	if r.set == nil {
		problems.Add(fault.NotFound, []any{"input", "labelSet"}, "there is no label set %.40q: an admin makes one by createLabelSet", name)
	}
	s.validate(&problems, r.definitions)
	return problems.Err()
}

// noAddress ends the address of a user without an email address. RFC 2606 reserves
// the domain, so nobody can own the domain.
const noAddress = "@tagma.invalid"

// identityOf returns a user as the author of a commit: Name <address>.
func identityOf(username, email string) string {
	if email == "" {
		email = username + noAddress
	}
	return username + " <" + email + ">"
}

// AuthorOf returns the name and the address of a submission's author in the commit.
// The address is nil for an author without an address.
func AuthorOf(row *ent.LabelSubmission) (name string, email *string) {
	author := identity(row.Author)
	if author.Email == "" || strings.HasSuffix(author.Email, noAddress) {
		return author.Name, nil
	}
	return author.Name, &author.Email
}

// Await blocks until a submission has reached the repository or has failed, until
// timeout has passed, or until ctx ends. Await returns the current state of the
// submission. While the repository is known to be out of reach, Await returns
// immediately.
func (l *Service) Await(ctx context.Context, id int64, timeout time.Duration) (*ent.LabelSubmission, error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	// Another server may push the submission. Then only the database has the result.
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for {
		settled := l.settlements.wait()
		row, err := l.db.LabelSubmission.Get(ctx, id)
		if err != nil || isSettled(row) {
			return row, err
		}
		if heldUp, err := l.isHeldUp(ctx); heldUp || err != nil {
			return row, err
		}
		select {
		case <-settled:
		case <-poll.C:
		case <-deadline.C:
			return row, nil
		case <-ctx.Done():
			return row, nil
		}
	}
}

// isHeldUp reports whether the repository is known to be out of reach, as recorded by
// the server with the Outbox.
func (l *Service) isHeldUp(ctx context.Context) (bool, error) {
	return l.db.Checkpoint.Query().Where(checkpoint.ID(heldUpID)).Exist(ctx)
}

// isSettled reports whether the submission is pushed or has failed, so nobody needs
// to wait any more.
func isSettled(row *ent.LabelSubmission) bool {
	return row.Status == labelsubmission.StatusPUSHED || row.Status == labelsubmission.StatusFAILED
}
