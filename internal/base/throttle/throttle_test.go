package throttle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tagma/internal/base/instant"
)

// manualClock is a clock that a test moves by hand.
type manualClock struct{ millis atomic.Int64 }

func (h *manualClock) read() instant.Instant    { return instant.Instant(h.millis.Load()) }
func (h *manualClock) move(d time.Duration)     { h.millis.Add(d.Milliseconds()) }
func (h *manualClock) since() time.Duration     { return time.Duration(h.millis.Load()) * time.Millisecond }
func addressNumber(n int) string                { return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255) }
func start(o Options) (*Throttle, *manualClock) { h := new(manualClock); return New(h.read, o), h }

// maxInAnyMinute is the greatest number of times in any minute.
func maxInAnyMinute(times []time.Duration) int {
	greatest, start := 0, 0
	for i, moment := range times {
		for times[start] <= moment-time.Minute {
			start++
		}
		greatest = max(greatest, i-start+1)
	}
	return greatest
}

func TestAllow_AfterFiveFailuresTheWaitDoublesUpToFiveMinutes(t *testing.T) {
	th, clock := start(Options{})
	for i, want := range []time.Duration{0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300} {
		want *= time.Second
		if want > 0 {
			clock.move(want - time.Millisecond)
			if ok, wait := th.Allow("ada", "192.0.2.1"); ok || wait != time.Millisecond {
				t.Fatalf("attempt %d, too early by 1 ms: %v, %v", i+1, ok, wait)
			}
			clock.move(time.Millisecond)
		}
		if ok, wait := th.Allow("ada", "192.0.2.1"); !ok {
			t.Fatalf("attempt %d after %v is to wait for %v", i+1, want, wait)
		}
		th.Failed("ada")
	}
}

func TestAllow_TenThousandGuessesFromManyAddressesGiveTenAMinute(t *testing.T) {
	th, clock := start(Options{})
	var allowed []time.Duration
	for i := range 10_000 {
		if ok, wait := th.Allow("ada", addressNumber(i)); ok {
			allowed = append(allowed, clock.since())
			th.Failed("ada")
		} else if wait <= 0 || wait > maxWait {
			t.Fatalf("guess %d is to wait for %v", i, wait)
		}
		clock.move(100 * time.Millisecond)
	}
	if n := maxInAnyMinute(allowed); n != 10 {
		t.Errorf("%d guesses in one minute", n)
	}
	if n := len(allowed); n > 20 {
		t.Errorf("%d guesses of 10,000 in %v", n, clock.since())
	}
}

func TestAllow_APatientGuesserHasSomeThreeHundredGuessesADay(t *testing.T) {
	// One who would wait longer than patience rests until all is forgotten.
	for _, patience := range []time.Duration{0, time.Second, 16 * time.Second, time.Minute, 256 * time.Second, maxWait} {
		th, clock := start(Options{})
		guesses := 0
		for clock.since() < 24*time.Hour {
			ok, wait := th.Allow("ada", addressNumber(guesses))
			switch {
			case ok:
				guesses++
			case wait <= patience:
				clock.move(wait)
			default:
				clock.move(quietPeriod)
			}
		}
		if guesses > 310 {
			t.Errorf("with a patience of %v there are %d guesses", patience, guesses)
		}
	}
}

func TestAllow_TenThousandGuessesFromOneAddressGiveAtMostSixtyAMinute(t *testing.T) {
	th, clock := start(Options{})
	var allowed []time.Duration
	for i := range 10_000 {
		name := fmt.Sprint("user", i)
		if ok, wait := th.Allow(name, "192.0.2.1"); ok {
			allowed = append(allowed, clock.since())
			if i%3 == 0 {
				th.Succeeded(name) // gives the address nothing back
			}
		} else if wait <= 0 || wait > 2*time.Second {
			t.Fatalf("guess %d is to wait for %v", i, wait)
		}
		clock.move(100 * time.Millisecond)
	}
	if n := maxInAnyMinute(allowed); n > 60 || n < 58 {
		t.Errorf("%d guesses in one minute", n)
	}
	if ok, _ := th.Allow("ada", "192.0.2.2"); !ok {
		t.Error("another address must wait too")
	}
}

func TestAllow_GuessesSideBySideDoNotSlipThrough(t *testing.T) {
	th, _ := start(Options{})
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if ok, _ := th.Allow("ada", addressNumber(i)); ok {
				allowed.Add(1)
				th.Failed("ada")
			}
		})
	}
	wg.Wait()
	if n := allowed.Load(); n != freeAttempts {
		t.Errorf("%d of 1000 guesses at the same moment were allowed", n)
	}
}

func TestAllow_CallsSideBySideAreSafe(t *testing.T) {
	th, clock := start(Options{Entries: 20})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				name := fmt.Sprint("user", (i+j)%40)
				if ok, _ := th.Allow(name, addressNumber(i*j%40)); ok && j%2 == 0 {
					th.Succeeded(name)
				} else if ok {
					th.Failed(name)
				}
				clock.move(50 * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

func TestAllow_ARefusedAttemptDoesNotLengthenTheWait(t *testing.T) {
	th, clock := start(Options{})
	for range freeAttempts {
		th.Allow("ada", "192.0.2.1")
	}
	for range 999 {
		if ok, _ := th.Allow("ada", "192.0.2.1"); ok {
			t.Fatal("allowed within the first second")
		}
		clock.move(time.Millisecond)
	}
	clock.move(time.Millisecond)
	if ok, wait := th.Allow("ada", "192.0.2.1"); !ok {
		t.Errorf("after the second there are still %v to wait", wait)
	}
}

func TestFailed_TheWaitRunsFromTheAnswer(t *testing.T) {
	th, clock := start(Options{})
	for range freeAttempts {
		th.Allow("ada", "192.0.2.1")
	}
	clock.move(700 * time.Millisecond)
	th.Failed("ada")
	if ok, wait := th.Allow("ada", "192.0.2.1"); ok || wait != time.Second {
		t.Errorf("Allow = %v, %v", ok, wait)
	}
}

func TestFailed_WhoWasNeverAllowedIsNotRemembered(t *testing.T) {
	th, _ := start(Options{})
	th.Failed("ada")
	th.Succeeded("ada")
	if n := len(th.accounts.byKey); n != 0 {
		t.Errorf("%d accounts are remembered", n)
	}
}

func TestSucceeded_TheAccountHasItsAttemptsAgain(t *testing.T) {
	th, clock := start(Options{})
	for range 9 { // up to a wait of 16 s
		_, wait := th.Allow("ada", "192.0.2.1")
		if wait > 0 {
			clock.move(wait)
			th.Allow("ada", "192.0.2.1")
		}
	}
	clock.move(time.Minute)
	th.Allow("ada", "192.0.2.1")
	th.Succeeded("ada")
	for i := range freeAttempts {
		if ok, wait := th.Allow("ada", "192.0.2.1"); !ok {
			t.Errorf("attempt %d after the success is to wait for %v", i+1, wait)
		}
	}
}

func TestSucceeded_OneWhoNeverErrsIsBoundOnlyByTheAddress(t *testing.T) {
	th, clock := start(Options{})
	for i := range 600 {
		if ok, wait := th.Allow("ada", "192.0.2.1"); !ok {
			t.Fatalf("login %d is to wait for %v", i+1, wait)
		}
		th.Succeeded("ada")
		clock.move(2 * time.Second)
	}
}

func TestAllow_AddressesOfOneNetworkCountAsOne(t *testing.T) {
	for name, c := range map[string]struct {
		addresses func(i int) string
		shared    bool
	}{
		"IPv4":                     {func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }, false},
		"IPv4 with a port":         {func(i int) string { return fmt.Sprintf("192.0.2.1:%d", 1000+i) }, true},
		"IPv4 written in two ways": {func(i int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2] }, true},
		"IPv4 as IPv6":             {func(i int) string { return fmt.Sprintf("::ffff:192.0.2.%d", i) }, false},
		"IPv6 in one /64":          {func(i int) string { return fmt.Sprintf("2001:db8::%x:1", i) }, true},
		"IPv6 with a port":         {func(i int) string { return fmt.Sprintf("[2001:db8::%x]:%d", i, 1000+i) }, true},
		"IPv6 with zones":          {func(i int) string { return fmt.Sprintf("fe80::1%%eth%d", i) }, true},
		"IPv6 in many /64":         {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i) }, false},
		"no addresses":             {func(i int) string { return strings.Repeat("@", i) }, true},
	} {
		th, _ := start(Options{AddressPerMinute: 20})
		allowed := 0
		for i := range 100 {
			if ok, _ := th.Allow(fmt.Sprint("user", i), c.addresses(i)); ok {
				allowed++
			}
		}
		if want := map[bool]int{true: 10, false: 100}[c.shared]; allowed != want {
			t.Errorf("%s: %d of 100 at the same moment, want %d", name, allowed, want)
		}
	}
}

func TestAllow_AFloodOfNamesDoesNotWashAwayAHotOne(t *testing.T) {
	th, clock := start(Options{Entries: 100})
	for range freeAttempts {
		th.Allow("ada", "192.0.2.1")
	}
	// One guess fewer at each of a thousand others, from everywhere.
	for i := range 1000 * (freeAttempts - 1) {
		th.Allow(fmt.Sprint("user", i/(freeAttempts-1)), addressNumber(i))
	}
	if len(th.accounts.byKey) > 100 || len(th.addresses.byKey) > 100 {
		t.Errorf("%d accounts and %d addresses are remembered", len(th.accounts.byKey), len(th.addresses.byKey))
	}
	if ok, wait := th.Allow("ada", "192.0.2.2"); ok || wait != time.Second {
		t.Errorf("Allow = %v, %v: it is forgotten", ok, wait)
	}
	clock.move(time.Second)
	if ok, wait := th.Allow("ada", "192.0.2.2"); !ok {
		t.Errorf("after its second it is to wait for %v", wait)
	}
}

func TestAllow_AfterAnHourOfQuietAllIsForgotten(t *testing.T) {
	th, clock := start(Options{})
	for i := range 1000 {
		th.Allow(fmt.Sprint("user", i), addressNumber(i))
	}
	clock.move(quietPeriod)
	th.Allow("ada", "192.0.2.1")
	if len(th.accounts.byKey) != 1 || len(th.addresses.byKey) != 1 {
		t.Errorf("%d accounts and %d addresses are remembered", len(th.accounts.byKey), len(th.addresses.byKey))
	}
}

func TestAllow_AClockSetBackLocksNobodyOut(t *testing.T) {
	th, clock := start(Options{})
	for range freeAttempts {
		th.Allow("ada", "192.0.2.1")
	}
	clock.move(-time.Hour)
	if ok, wait := th.Allow("ada", "192.0.2.1"); ok || wait != time.Second {
		t.Errorf("Allow = %v, %v", ok, wait)
	}
	clock.move(time.Second)
	if ok, wait := th.Allow("ada", "192.0.2.1"); !ok {
		t.Errorf("after its second it is to wait for %v", wait)
	}
}

func TestAllow_TheBoundsHoldWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perMinute := rapid.IntRange(1, 70).Draw(t, "perMinute")
		th, clock := start(Options{AddressPerMinute: perMinute})
		type attempt struct {
			account string
			at      time.Duration
		}
		byAccount := map[string][]time.Duration{}
		byAddress := map[string][]time.Duration{}
		var pending []attempt

		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		errs := rapid.Float64Range(0, 1).Draw(t, "errs")
		pace := rapid.IntRange(1, 3000).Draw(t, "pace")
		for range 200 {
			clock.move(time.Duration(random.IntN(pace)) * time.Millisecond)
			account := []string{"ada", "bo"}[random.IntN(2)]
			address := []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"}[random.IntN(3)]
			ok, wait := th.Allow(account, address)
			if ok == (wait > 0) || wait > maxWait {
				t.Fatalf("Allow = %v, %v", ok, wait)
			}
			if !ok && random.IntN(4) == 0 {
				clock.move(wait)
				if ok, wait = th.Allow(account, address); !ok {
					t.Fatalf("after the wait there are still %v to wait", wait)
				}
			}
			if ok {
				byAddress[address] = append(byAddress[address], clock.since())
				pending = append(pending, attempt{account, clock.since()})
			}
			// Attempts end in any order, some never, but none after a minute.
			for len(pending) > 0 && pending[0].at <= clock.since()-window {
				byAccount[pending[0].account] = append(byAccount[pending[0].account], pending[0].at)
				pending = pending[1:]
			}
			if len(pending) > 0 && random.IntN(3) > 0 {
				i := random.IntN(len(pending))
				att := pending[i]
				pending = append(pending[:i], pending[i+1:]...)
				if random.Float64() < errs {
					th.Failed(att.account)
					byAccount[att.account] = append(byAccount[att.account], att.at)
				} else {
					th.Succeeded(att.account)
				}
			}
		}
		for _, att := range pending {
			byAccount[att.account] = append(byAccount[att.account], att.at)
		}
		for account, times := range byAccount {
			slices.Sort(times)
			if n := maxInAnyMinute(times); n > maxPerWindow {
				t.Errorf("%d guesses at %s in one minute", n, account)
			}
		}
		for address, times := range byAddress {
			if n := maxInAnyMinute(times); n > perMinute {
				t.Errorf("%d guesses from %s in one minute", n, address)
			}
		}
	})
}

func BenchmarkAllow_FullTable(b *testing.B) {
	th, clock := start(Options{})
	names := make([]string, 40_000)
	for i := range names {
		names[i] = addressNumber(i)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		th.Allow(names[i%len(names)], names[i%len(names)])
		clock.move(time.Millisecond)
	}
}
