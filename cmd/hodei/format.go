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

	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/api/wire"
)

// took writes a duration in at most two units: 12ms, 0.3s, 12.4s, 4m02s, 1h41m.
func took(d time.Duration) string {
	switch {
	case d < 99500*time.Microsecond:
		return fmt.Sprintf("%dms", max(d.Round(time.Millisecond).Milliseconds(), 1))
	case d < 59950*time.Millisecond:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	}
	return age(d.Round(time.Second))
}

// age writes a duration as took does, in whole seconds.
func age(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// bytesOf writes a size: 412 MiB, 1.5 GiB.
func bytesOf(n uint64) string { return resource.Bytes(n).Shown() }

// usedOf writes what was measured of a job that asked for so much memory, or
// for none in particular.
func usedOf(u *wire.Usage, memory uint64) string {
	if u == nil {
		return ""
	}
	var parts []string
	switch {
	case u.PeakMemory == nil:
	case memory == 0:
		parts = append(parts, bytesOf(*u.PeakMemory))
	default:
		parts = append(parts, resource.Bytes(*u.PeakMemory).Of(resource.Bytes(memory)))
	}
	if u.PeakCPU != nil {
		parts = append(parts, cpus(*u.PeakCPU)+" CPU")
	}
	return strings.Join(parts, ", ")
}

// memoryOf is the memory a job asked for, in bytes; 0 is none.
func memoryOf(j *wire.Job) uint64 {
	var spec struct {
		Resources struct{ Memory resource.Bytes }
	}
	if len(j.Spec) == 0 || json.Unmarshal(j.Spec, &spec) != nil {
		return 0
	}
	return uint64(spec.Resources.Memory)
}

// cpus writes a number of CPUs with at most two decimals.
func cpus(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

// clock writes a time of day with milliseconds, with the date if it isn't today's.
func (a *app) clock(t time.Time) string {
	zone := time.Local
	if a.utc {
		zone = time.UTC
	}
	t, now := t.In(zone), a.now().In(zone)
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}

// emit writes a value as the API gave it, or as one of this program, in the form
// that was asked for.
func (a *app) emit(v any) error {
	b, err := a.document(v)
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(b)
	return err
}

// ranFor returns how long a job's current or last attempt has run.
func (a *app) ranFor(j *wire.Job) (time.Duration, bool) {
	switch {
	case j.Started == nil:
		return 0, false
	case j.Finished != nil:
		return j.Finished.Sub(*j.Started), true
	case j.State == "running":
		return a.since(*j.Started), true
	}
	return 0, false
}

// waitsFor says in a few words why a job waits.
func waitsFor(j *wire.Job) string {
	between := ": "
	if j.Reason == "busy" || j.Reason == "next" { // what follows is its place in line
		between = ", "
	}
	return strings.TrimSuffix(j.Reason+between+j.Summary, between)
}

// ending says in a few words how a job ended that did not succeed.
func ending(j *wire.Job) string {
	if j.State == "succeeded" {
		return ""
	}
	how := strings.TrimPrefix(j.Summary, j.State)
	return strings.TrimPrefix(how, ": ")
}

// needs writes what a job asks for: 4 CPU, 8 GiB, gpu=a10.
func needs(cpu, memory, disk string, requires map[string]string) string {
	var parts []string
	if cpu != "" && cpu != "0" {
		parts = append(parts, cpu+" CPU")
	}
	if memory != "" && memory != "0" {
		parts = append(parts, sized(memory))
	}
	if disk != "" && disk != "0" {
		parts = append(parts, sized(disk)+" disk")
	}
	return strings.Join(append(parts, pairs(requires)...), ", ")
}

// sized writes a quantity of a spec, such as 8Gi, as people read sizes.
func sized(quantity string) string {
	b, err := resource.ParseBytes(quantity)
	if err != nil {
		return quantity
	}
	return bytesOf(uint64(b))
}

func pairs(m map[string]string) []string {
	var out []string
	for _, k := range sortedKeys(m) {
		switch {
		case m[k] == "":
			out = append(out, k)
		case k == "os" || k == "arch": // their values tell what they are
			out = append(out, m[k])
		default:
			out = append(out, k+"="+m[k])
		}
	}
	return out
}

// count writes a number of things: 1 job, 3 jobs.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
