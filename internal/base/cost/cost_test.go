package cost_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"tagma/internal/base/cost"
	"tagma/internal/base/fault"
)

func TestMeter_TheFirstLimitThatIsPassedEndsTheContext(t *testing.T) {
	for name, c := range map[string]struct {
		limits cost.Limits
		spend  func(m *cost.Meter) error
	}{
		"objects":  {cost.Limits{Objects: 10}, func(m *cost.Meter) error { return m.Objects(1) }},
		"resolved": {cost.Limits{Resolved: 10}, func(m *cost.Meter) error { return m.Resolve(1) }},
		"bytes":    {cost.Limits{Bytes: 10}, func(m *cost.Meter) error { return m.Bytes(1) }},
	} {
		ctx, m, end := cost.Start(t.Context(), c.limits)
		for n := range 10 {
			if err := c.spend(m); err != nil || ctx.Err() != nil {
				t.Errorf("%s: within the limit, after %d: %v, %v", name, n+1, err, ctx.Err())
			}
		}
		err := c.spend(m)
		if fault.CodeOf(err) != fault.TooLarge || !errors.Is(context.Cause(ctx), err) {
			t.Errorf("%s: beyond the limit: %v, and the cause is %v", name, err, context.Cause(ctx))
		}
		if again := m.Objects(1 << 40); !errors.Is(again, err) {
			t.Errorf("%s: then the fault is %v, want %v", name, again, err)
		}
		if err := m.Made(0, 0); err == nil {
			t.Errorf("%s: the answer is made all the same", name)
		}
		end()
	}
}

func TestMeter_OneStatementThatTakesTooLongEndsWhileItRuns(t *testing.T) {
	ctx, m, end := cost.Start(t.Context(), cost.Limits{Database: time.Millisecond})
	defer end()
	s := m.Statement()
	<-ctx.Done() // or the test does not end
	s.Leave()
	s.End()
	if fault.CodeOf(context.Cause(ctx)) != fault.TooLarge {
		t.Errorf("the cause is %v, want TOO_LARGE", context.Cause(ctx))
	}
}

func TestMeter_NoneCountsNothing(t *testing.T) {
	m := cost.From(t.Context())
	s := m.Statement()
	s.Enter()
	s.Leave()
	s.End()
	m.Apply()
	if err := errors.Join(m.Objects(1<<40), m.Bytes(1<<40), m.Hold(1<<40), m.Resolve(1<<40), m.Err()); err != nil {
		t.Error(err)
	}
}

// answer begins an answer with a share of the pool.
func answer(t *testing.T, pool *cost.Pool) (*cost.Meter, *cost.Share) {
	share := pool.Share()
	_, m, end := cost.Start(cost.WithShare(t.Context(), share), cost.Limits{})
	t.Cleanup(end)
	return m, share
}

func TestPool_WhoFindsNoMemoryIsToldToComeBackAndWhatIsReleasedCanBeHeldAgain(t *testing.T) {
	pool := cost.NewPool(100)
	one, first := answer(t, pool)
	two, second := answer(t, pool)
	if err := errors.Join(one.Hold(50), two.Hold(40)); err != nil {
		t.Fatal(err)
	}
	three, third := answer(t, pool)
	err := three.Hold(20)
	if known, ok := errors.AsType[*fault.Error](err); !ok || known.Code != fault.Unavailable || known.RetryAfter <= 0 {
		t.Errorf("without memory: %#v, want UNAVAILABLE with RetryAfter", err)
	}
	if err := one.Made(10, 10); err != nil || pool.Held() != 50 {
		t.Errorf("after an answer of 10 is made, %d are held, want 50: %v", pool.Held(), err)
	}
	four, fourth := answer(t, pool)
	if err := four.Hold(20); err != nil {
		t.Error(err)
	}
	for _, share := range []*cost.Share{first, second, third, fourth} {
		share.Release()
		share.Release()
	}
	if pool.Held() != 0 {
		t.Errorf("at the end %d are held, want 0", pool.Held())
	}
}

func TestPool_OneAnswerGetsHalfAtMost(t *testing.T) {
	pool := cost.NewPool(100)
	m, _ := answer(t, pool)
	if err := m.Hold(50); err != nil {
		t.Fatal(err)
	}
	if err := m.Hold(1); fault.CodeOf(err) != fault.TooLarge || pool.Held() != 50 {
		t.Errorf("beyond half: %v, and %d are held", err, pool.Held())
	}
}

func TestPool_IsNeverOverdrawnAndNothingIsLost(t *testing.T) {
	const size = 1000
	pool := cost.NewPool(size)
	var work sync.WaitGroup
	for range 50 {
		m, share := answer(t, pool)
		work.Go(func() {
			defer share.Release()
			for m.Hold(7) == nil {
				if held := pool.Held(); held < 0 {
					t.Errorf("%d are held", held)
				}
			}
		})
	}
	work.Wait()
	if pool.Held() != 0 {
		t.Errorf("at the end %d are held, want 0", pool.Held())
	}
}
