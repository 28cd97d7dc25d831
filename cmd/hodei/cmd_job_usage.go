package main

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/cmd/hodei/table"
)

// usagePoints is how many points people are shown at most, unless they ask for a
// step.
const usagePoints = 40

type usageFlags struct {
	attempt            uint32
	since, until, step string
}

func (a *app) cmdJobUsage() *cobra.Command {
	var f usageFlags
	c := &cobra.Command{
		Use: "usage JOB", Short: "Show what a job used over time: CPU, memory, disk, network",
		Example: `  hodei job usage 7f3k9qd2
  hodei job usage last --since 10m --step 10s
  hodei job usage last -o json`,
		Long: `Its worker looks once a second. CPU is time on a CPU, that of ended children
included; memory that processes share counts once; network is known of a job
with a network of its own. A dash is unknown, not 0.
` + jobNames,
		Args: oneArg("job"), ValidArgsFunction: a.oneOfJobs(""),
		RunE: func(c *cobra.Command, args []string) error {
			if err := refuse(c, rule{"attempt", f.attempt == 0, "attempts are counted from 1"}); err != nil {
				return err
			}
			return a.withJobOf(c.Context(), args[0], func(cl *client.Client, id string) error {
				return read(c.Context(), a, cl, jobPath(id, "/usage"), f.values(a), a.showUsage)
			})
		},
	}
	fl := c.Flags()
	fl.Uint32Var(&f.attempt, "attempt", 0, "use of attempt `N`, from 1 (default: the current or last)")
	fl.StringVar(&f.since, "since", "", "only from then on: an age such as 10m, a `TIME` such as 10:36:55 or RFC 3339")
	fl.StringVar(&f.until, "until", "", "only before then, a `TIME` as --since")
	fl.StringVar(&f.step, "step", "", "a line for each `DURATION`, such as 10s (default: as fits)")
	return c
}

func (f *usageFlags) values(a *app) url.Values {
	v := url.Values{}
	if f.attempt > 0 {
		v.Set("attempt", strconv.FormatUint(uint64(f.attempt), 10))
	}
	set(v, "since", today(f.since, a.now()))
	set(v, "until", today(f.until, a.now()))
	set(v, "step", f.step)
	if f.step == "" && a.output != "json" {
		v.Set("points", strconv.Itoa(usagePoints))
	}
	return v
}

func (a *app) showUsage(u *wire.UsageSeries) error {
	if len(u.Items) == 0 {
		a.note("nothing was measured: it has not begun, was over within a second, or not in this time")
		return nil
	}
	if a.out.Terminal {
		if _, err := fmt.Fprint(a.stdout, a.curves(u)); err != nil {
			return err
		}
	}
	column := func(name string) table.Column { return table.Column{Name: name, Right: true} }
	t := &table.Table{Columns: []table.Column{{Name: "FROM"}, column("FOR"), column("CPU"), column("MOST"), column("MEMORY"), {Name: "PROCS", Right: true, Rank: 3}, {Name: "READ", Right: true, Rank: 2}, {Name: "WRITTEN", Right: true, Rank: 1}}}
	nets := false
	for i := range u.Items {
		nets = nets || u.Items[i].NetRx != nil
	}
	if nets {
		t.Columns = append(t.Columns, column("RECEIVED"), column("SENT"))
	}
	for i := range u.Items {
		p := &u.Items[i]
		memory := ""
		if p.Memory != nil {
			memory = bytesOf(uint64(p.Memory.Max))
		}
		row := []table.Cell{table.Text(a.clock(p.At)), table.Text(took(time.Duration(p.Seconds * float64(time.Second)))), table.Text(cpus(p.CPU.Mean)), table.Text(cpus(p.CPU.Max)),
			table.Text(memory), table.Text(processes(p)), table.Text(size(p.DiskRead)), table.Text(size(p.DiskWrite))}
		if nets {
			row = append(row, table.Text(size(p.NetRx)), table.Text(size(p.NetTx)))
		}
		t.Row(row...)
	}
	return t.Write(a.stdout, a.out)
}

func processes(p *wire.UsagePoint) string {
	if p.Processes == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(p.Processes), 10)
}

// size writes a size, or nothing if it is not known.
func size(n *uint64) string {
	if n == nil {
		return ""
	}
	return bytesOf(*n)
}

// curves draws CPU and memory, with what the job asked for.
func (a *app) curves(u *wire.UsageSeries) string {
	var b strings.Builder
	var cpu, memory []float64
	used, measured, most, peak := 0.0, 0.0, 0.0, 0.0
	for i := range u.Items {
		p := &u.Items[i]
		cpu = append(cpu, p.CPU.Mean)
		used, measured, most = used+p.CPU.Mean*p.Seconds, measured+p.Seconds, max(most, p.CPU.Max)
		level := -1.0
		if p.Memory != nil {
			level, peak = p.Memory.Max, max(peak, p.Memory.Max)
		}
		memory = append(memory, level)
	}
	asked := ""
	if u.Requests.CPU > 0 {
		asked = ", " + cpus(u.Requests.CPU) + " asked for"
	}
	fmt.Fprintf(&b, "CPU     %s  %s at most, %s on average%s\n", a.curve(cpu), cpus(most), cpus(used/max(measured, 1e-3)), asked)
	if peak > 0 {
		asked = ""
		if u.Requests.Memory > 0 {
			asked = ", " + bytesOf(u.Requests.Memory) + " asked for"
		}
		fmt.Fprintf(&b, "memory  %s  %s at most%s\n", a.curve(memory), bytesOf(uint64(peak)), asked)
	}
	return b.String()
}

// curve draws values from 0 up to the highest, as many as there is room for beside
// words. Below 0 is unknown.
func (a *app) curve(values []float64) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	if !a.out.Unicode {
		levels = []rune("_.:-=+*#")
	}
	room := max(min(usagePoints, a.out.Width/2), 1)
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	for i := range min(len(values), room) {
		from, to := i*len(values)/min(len(values), room), (i+1)*len(values)/min(len(values), room)
		high := -1.0
		for _, v := range values[from:to] {
			high = max(high, v)
		}
		sign := ' '
		if high >= 0 {
			sign = levels[int(high/max(top, math.SmallestNonzeroFloat64)*float64(len(levels)-1))]
		}
		b.WriteRune(sign)
	}
	return b.String()
}
