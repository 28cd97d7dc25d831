package outbox

const (
	firstBlock = 1 << 10
	maxBlock   = 32 << 10
)

// spool is a queue of bytes in blocks. The first is small, since most attempts
// write little; each following one is twice as large. A byte is never moved or
// overwritten, so slices that were given out stay valid.
type spool struct {
	blocks [][]byte
	front  int // bytes of the first block that were dropped
}

func (s *spool) append(p []byte) {
	for len(p) > 0 {
		last := len(s.blocks) - 1
		if last < 0 || len(s.blocks[last]) == cap(s.blocks[last]) {
			s.blocks = append(s.blocks, make([]byte, 0, s.nextSize()))
			last++
		}
		block := s.blocks[last]
		n := min(len(p), cap(block)-len(block))
		s.blocks[last] = append(block, p[:n]...)
		p = p[n:]
	}
}

func (s *spool) nextSize() int {
	if len(s.blocks) == 0 {
		return firstBlock
	}
	return min(2*cap(s.blocks[len(s.blocks)-1]), maxBlock)
}

// slice gives bytes from..to, or only as many as lie in one block.
func (s *spool) slice(from, to int) []byte {
	from, to = from+s.front, to+s.front
	for _, block := range s.blocks {
		if from < len(block) {
			return block[from:min(to, len(block)):min(to, len(block))]
		}
		from, to = from-len(block), to-len(block)
	}
	return nil
}

// drop forgets the first n bytes. The last block stays while it has room, so
// that its size is not forgotten.
func (s *spool) drop(n int) {
	n += s.front
	for len(s.blocks) > 0 && n >= len(s.blocks[0]) {
		block := s.blocks[0]
		if len(s.blocks) == 1 && len(block) < cap(block) {
			break
		}
		n -= len(block)
		s.blocks[0] = nil
		s.blocks = s.blocks[1:]
	}
	s.front = n
}
