package images

// HoldMemory takes all the memory for decoding. Waiting says whether somebody
// waits for it, and release gives it back.
func (c *Images) HoldMemory() (waiting func() bool, release func()) {
	if !c.memory.TryAcquire(decodeMemory) {
		panic("the memory is in use")
	}
	return func() bool { return !c.memory.TryAcquire(0) }, func() { c.memory.Release(decodeMemory) }
}
