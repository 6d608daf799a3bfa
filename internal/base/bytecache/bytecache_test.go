package bytecache

import (
	"strings"
	"testing"
)

func newTestCache(limit int) *Cache[string, string] {
	return New(limit, func(key, value string) int { return len(key) + len(value) })
}

// check reports the keys of which the cache has the wrong value. The values of keys that
// are not in want must be missing.
func check(t *testing.T, c *Cache[string, string], keys string, want map[string]string) {
	t.Helper()
	for _, key := range strings.Fields(keys) {
		value, ok := c.lru.Peek(key)
		if wanted, present := want[key]; ok != present || value != wanted {
			t.Errorf("value of %q: got %q, %t, want %q, %t", key, value, ok, wanted, present)
		}
	}
}

func TestCache_RemovesTheLeastRecentlyUsedBeyondItsBytes(t *testing.T) {
	c := newTestCache(100)
	value := strings.Repeat("x", 39) // of 40 bytes with its key: two have room
	c.Add("a", value)
	c.Add("b", value)
	if _, ok := c.Get("a"); !ok {
		t.Error("a: got none, want a value")
	}
	c.Add("c", value)
	check(t, c, "a b c", map[string]string{"a": value, "c": value})
	c.Add("d", strings.Repeat("y", 99)) // the whole cache
	check(t, c, "a b c d", map[string]string{"d": strings.Repeat("y", 99)})
	if c.size != 100 {
		t.Errorf("size: got %d, want 100", c.size)
	}
}

func TestCache_AValueAboveTheLimitRemovesNothing(t *testing.T) {
	c := newTestCache(10)
	c.Add("a", "1")
	c.Add("b", "1234567890")
	check(t, c, "a b", map[string]string{"a": "1"})
}

func TestCache_AddKeepsAnExistingValue(t *testing.T) {
	c := newTestCache(10)
	c.Add("a", "1")
	c.Add("a", "123")
	check(t, c, "a", map[string]string{"a": "1"})
	if c.size != 2 {
		t.Errorf("size: got %d, want 2", c.size)
	}
}

func TestCache_TakeAndClearFreeTheirBytes(t *testing.T) {
	c := newTestCache(10)
	c.Add("a", "1234")
	c.Add("b", "1234")
	if value, ok := c.Take("a"); value != "1234" || !ok {
		t.Errorf("Take of a: got %q, %t, want 1234, true", value, ok)
	}
	if value, ok := c.Take("a"); ok {
		t.Errorf("second Take of a: got %q, want none", value)
	}
	c.Add("c", "1234")
	check(t, c, "a b c", map[string]string{"b": "1234", "c": "1234"})
	c.Clear()
	check(t, c, "a b c", nil)
	if c.size != 0 {
		t.Errorf("size after Clear: got %d, want 0", c.size)
	}
}
