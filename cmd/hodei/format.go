package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
)

// took writes a duration in at most two units: 12ms, 12.4s, 4m02s, 1h41m, 3d04h.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", max(d.Round(time.Millisecond).Milliseconds(), 1))
	case d < 59950*time.Millisecond:
		return strconv.FormatFloat(math.Round(d.Seconds()*10)/10, 'f', -1, 64) + "s"
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// age is took without fractions.
func age(d time.Duration) string { return took(d.Truncate(time.Second)) }

// bytesOf writes a size in IEC units with at most one decimal: 412 MiB, 1.5 GiB.
func bytesOf(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	v, u := float64(n), 0
	for v >= 1023.95 && u < len(units)-1 {
		v /= 1024
		u++
	}
	if v >= 100 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f %s", v, units[u])
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}

// cpus writes a number of CPUs with at most two decimals.
func cpus(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

// clock writes a time of day with milliseconds, with the date if it isn't today's.
func (a *app) clock(t time.Time) string {
	now := time.Now()
	if a.utc {
		t, now = t.UTC(), now.UTC()
	} else {
		t = t.Local()
	}
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}

// emit writes a value as JSON, as the API gave it.
func (a *app) emit(v any) error {
	raw, ok := v.(json.RawMessage)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		raw = b
	}
	_, err := fmt.Fprintf(a.stdout, "%s\n", strings.TrimRight(string(raw), "\n"))
	return err
}

// ranFor returns how long a job's current or last attempt has run.
func ranFor(j *wire.Job) (time.Duration, bool) {
	switch {
	case j.Started == nil:
		return 0, false
	case j.Finished != nil:
		return j.Finished.Sub(*j.Started), true
	case j.State == "running":
		return time.Since(*j.Started), true
	}
	return 0, false
}

// needs writes what a job asks for: 4 CPU, 8 GiB, gpu=a10.
func needs(cpu, memory, disk string, requires map[string]string) string {
	var parts []string
	if cpu != "" && cpu != "0" {
		parts = append(parts, cpu+" CPU")
	}
	if memory != "" && memory != "0" {
		parts = append(parts, memory)
	}
	if disk != "" && disk != "0" {
		parts = append(parts, disk+" disk")
	}
	return strings.Join(append(parts, pairs(requires)...), ", ")
}

func pairs(m map[string]string) []string {
	var out []string
	for _, k := range sortedKeys(m) {
		if m[k] == "" {
			out = append(out, k)
		} else {
			out = append(out, k+"="+m[k])
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
