package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

func TestCodeOf_AWrappedErrorKeepsItsCode(t *testing.T) {
	err := error(New(NotFound, "no %s", "image"))
	for range 3 {
		err = errors.Join(errors.New("other"), fmt.Errorf("wrapped: %w", err))
	}
	if CodeOf(err) != NotFound {
		t.Errorf("code: got %s, want NOT_FOUND", CodeOf(err))
	}
	for _, err := range []error{nil, errors.New("no")} {
		if CodeOf(err) != Internal {
			t.Errorf("code of %v: got %s, want INTERNAL", err, CodeOf(err))
		}
	}
}

func TestBecause_TheCauseIsForTheLogAlone(t *testing.T) {
	cause := errors.New("secret")
	err := Wrap(cause, Unavailable, "try again in %d s", 5)
	if err.Message != "try again in 5 s" || err.Error() != "try again in 5 s: secret" || !errors.Is(err, cause) {
		t.Errorf("got message %q and log text %q, want the cause in the log text only", err.Message, err)
	}
}

func TestProblems_AreAllTold(t *testing.T) {
	var empty Problems
	if empty.Err() != nil || empty.List() != nil {
		t.Errorf("no problems: got %v, want nil", empty)
	}
	var problems, extra Problems
	problems.Add(BadInput, []any{"input", 0, "md5"}, "%q is not an MD5", "x")
	extra.Add(Conflict, nil, "twice")
	problems.Append(extra)
	err, ok := errors.AsType[*Error](problems.Err())
	if !ok || err.Code != BadInput || err.Message != `input.0.md5: "x" is not an MD5 (and 1 more)` || len(err.Problems) != 2 {
		t.Errorf("got %+v, want 2 problems with the code of the first", err)
	}
	if extra.Err().Error() != "twice" {
		t.Errorf("got %v, want twice", extra.Err())
	}
	text, _ := json.Marshal(err.Problems)
	if want := `[{"code":"BAD_USER_INPUT","path":["input","0","md5"],"message":"\"x\" is not an MD5"},{"code":"CONFLICT","path":[],"message":"twice"}]`; string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
}
