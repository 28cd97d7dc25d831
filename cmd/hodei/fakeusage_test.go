package main

import (
	"net/http"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
)

// fakeUsage is what test-e2e used: it grew until its memory was full. build-web has a
// network of its own. Of all others nothing was measured.
func fakeUsage(w http.ResponseWriter, r *http.Request) {
	u := wire.UsageSeries{Attempt: 1, Step: 30, Whole: true, Requests: wire.Requests{CPU: 4, Memory: 8 << 30}, Items: []wire.UsagePoint{}}
	begin := ago(467738 * time.Millisecond).Truncate(30 * time.Second)
	point := func(i int, cpu float64, memory uint64, written uint64) wire.UsagePoint {
		return wire.UsagePoint{
			At: begin.Add(time.Duration(i) * 30 * time.Second), Seconds: 30, CPU: wire.Spread{Min: 0, Mean: cpu, Max: cpu + 0.1},
			Memory: &wire.Spread{Mean: float64(memory), Max: float64(memory)}, Processes: uint32(2 + i), DiskRead: ptr(uint64(0)), DiskWrite: &written,
		}
	}
	switch r.PathValue("id") {
	case "6wv0p3nc":
		for i, cpu := range []float64{0.3, 1.2, 2.9, 3.5, 3.5} {
			u.Items = append(u.Items, point(i, cpu, uint64(i+1)<<30+uint64(i)<<29, uint64(i)<<20))
		}
		u.Items = append(u.Items, wire.UsagePoint{At: begin.Add(150 * time.Second), Seconds: 0.212, CPU: wire.Spread{Max: 1, Mean: 1}})
	case "2m7xk4ra":
		p := point(0, 0.02, 40<<20, 4096)
		p.NetRx, p.NetTx = ptr(uint64(12<<20)), ptr(uint64(900))
		u.Items, u.Requests, u.Whole = append(u.Items, p), wire.Requests{}, false
	}
	answer(w, 200, u)
}
