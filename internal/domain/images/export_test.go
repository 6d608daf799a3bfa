package images

import "golang.org/x/sync/semaphore"

// HoldMemory takes all the memory for decoding. Waiting says whether somebody
// waits for it, and release gives it back.
func (s *Service) HoldMemory() (waiting func() bool, release func()) {
	return hold(s.memory, MaxDecodeBytes)
}

// HoldSlow is HoldMemory for the photographs whose decoding is slow.
func (s *Service) HoldSlow() (waiting func() bool, release func()) {
	return hold(s.slowMemory, MaxDecodeBytes)
}

// HoldContent is HoldMemory for the files that are read from the disk.
func (s *Service) HoldContent() (waiting func() bool, release func()) {
	return hold(s.content, contentMemory)
}

func hold(memory *semaphore.Weighted, all int64) (waiting func() bool, release func()) {
	if !memory.TryAcquire(all) {
		panic("the memory is in use")
	}
	return func() bool { return !memory.TryAcquire(0) }, func() { memory.Release(all) }
}
