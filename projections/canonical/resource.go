package canonical

import (
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

// Amount writes an amount.
func Amount(w *Writer, a resource.Amount) {
	w.Uint(uint64(a.CPU))
	w.Uint(uint64(a.Memory))
	w.Uint(uint64(a.Disk))
}

// ReadAmount reads what [Amount] wrote.
func ReadAmount(r *Reader) resource.Amount {
	return resource.Amount{CPU: resource.CPU(r.Uint()), Memory: resource.Bytes(r.Uint()), Disk: resource.Bytes(r.Uint())}
}

// Labels writes labels.
func Labels(w *Writer, labels resource.Labels) {
	w.Uint(uint64(len(labels)))
	for _, l := range labels {
		w.Text(l.Key)
		w.Text(l.Value)
	}
}

// ReadLabels reads what [Labels] wrote; nil if there are none.
func ReadLabels(r *Reader) resource.Labels {
	n := r.Count()
	if n == 0 {
		return nil
	}
	labels := make(resource.Labels, n)
	for i := range labels {
		labels[i] = resource.Label{Key: r.Text(), Value: r.Text()}
	}
	return labels
}

// ID writes an id.
func ID(w *Writer, i id.ID) { w.Uint(uint64(i)) }

// ReadID reads what [ID] wrote.
func ReadID(r *Reader) id.ID { return id.ID(r.Uint()) }
