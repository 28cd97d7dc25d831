package outbox

import "time"

// Limit has the box keep so many bytes. What is written beyond is taken and dropped,
// so that its writers go on. words are put into the box where it begins to be, with
// no bytes lost, and again when the box is closed, with how many were: whole lines,
// short. It must be called before the first write.
func (b *Box) Limit(bytes uint64, words func(lost uint64) []byte) {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	b.limit, b.words = bytes, words
}

// full says whether the box has all the bytes that it keeps.
func (b *Box) full() bool { return b.limit > 0 && b.written >= b.limit }

// lose drops n bytes, and says so the first time.
func (b *Box) lose(tag Tag, n int) {
	if b.lost == 0 && n > 0 {
		b.say(tag, 0)
	}
	b.lost += uint64(n)
}

// say adds words of the agent's own, on a line of their own. They are short, so
// there needn't be room for them.
func (b *Box) say(tag Tag, lost uint64) {
	words := b.words(lost)
	if b.last != '\n' {
		words = append([]byte{'\n'}, words...)
	}
	b.add(tag, words, time.Now())
}
