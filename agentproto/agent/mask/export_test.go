package mask

// Held is how many bytes are held back.
func (w *Writer) Held() int { return len(w.held) }
