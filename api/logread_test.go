package api

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// write appends a piece with a time of its own.
func (a *attempt) write(tag uint8, at time.Time, text string) {
	a.t.Helper()
	if err := a.logs.Append(a.key, 1, joblog.Piece{Tag: tag, Offset: a.head, Time: at.UnixNano(), Data: []byte(text)}); err != nil {
		a.t.Fatal(err)
	}
	a.head += uint64(len(text))
}

func (a *attempt) step(number uint32, name, state string) {
	a.t.Helper()
	err := a.commands.RecordStep(a.t.Context(), tester, a.key.Job, job.RecordStep{
		Attempt: a.key.Attempt, Worker: a.worker, Step: number, Name: name, State: state, LogOffset: a.head})
	if err != nil {
		a.t.Fatal(err)
	}
}

const threeSteps = `{"steps":[{"name":"build","run":"x"},{"name":"test","run":"y"},{"name":"report","run":"z"}]}`

// a log with three steps, two streams, colours and times: a line each second.
func (s *site) story(t *testing.T, begin time.Time) (path string, a *attempt) {
	t.Helper()
	j := s.submit(s.admin(), threeSteps)
	a = s.start(j.ID, 1)
	a.step(1, "build", "running")
	a.write(1, begin, "one\n\x1b[31mtw")
	a.write(1, begin.Add(time.Second), "o\x1b[0m\n")
	a.write(2, begin.Add(2*time.Second), "warning\n")
	a.step(1, "build", "succeeded")
	a.step(2, "test", "running")
	a.write(1, begin.Add(3*time.Second), "three\nfour\n")
	a.write(1, begin.Add(4*time.Second), "five")
	return "/v1/jobs/" + j.ID + "/logs", a
}

const storyText = "one\n\x1b[31mtwo\x1b[0m\nwarning\nthree\nfour\nfive"

// What is chosen of a log is what was asked for, as text and as a stream.
func TestWhatIsChosenOfALog(t *testing.T) {
	s := newSite(t)
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	path, _ := s.story(t, begin)
	plain := s.token("default", token.Viewer)
	at := func(seconds int) string {
		return url.QueryEscape(begin.Add(time.Duration(seconds) * time.Second).Format(time.RFC3339))
	}
	stamp := func(seconds int) string {
		return begin.Add(time.Duration(seconds) * time.Second).UTC().Format("2006-01-02T15:04:05.000Z ")
	}
	for query, want := range map[string]string{
		"":                                   storyText,
		"step=1":                             "one\n\x1b[31mtwo\x1b[0m\nwarning\n",
		"step=test":                          "three\nfour\nfive",
		"step=2&tail=2":                      "four\nfive",
		"since=" + at(1):                     "warning\nthree\nfour\nfive",
		"since=" + at(3):                     "three\nfour\nfive",
		"since=2h":                           storyText,
		"since=10m":                          "",
		"since=36500d":                       storyText,
		"since=0001-01-01T00:00:00Z":         storyText,
		"since=2500-01-01T00:00:00Z":         "",
		"until=9999-12-31T23:59:59Z":         storyText,
		"until=1500-01-01T00:00:00Z":         "",
		"until=" + at(2):                     "one\n\x1b[31mtwo\x1b[0m\n",
		"until=-1s":                          storyText,
		"since=" + at(1) + "&until=" + at(3): "warning\n",
		"lines=3":                            "warning\n",
		"lines=4:5":                          "three\nfour\n",
		"lines=5:":                           "four\nfive",
		"lines=:1":                           "one\n",
		"lines=9:":                           "",
		"tail=1":                             "five",
		"tail=0":                             "",
		"tail=all":                           storyText,
		"tail=99":                            storyText,
		"stream=stderr":                      "warning\n",
		"stream=stdout&tail=4":               "\x1b[31mtwo\x1b[0m\nthree\nfour\nfive",
		"stream=stdout&lines=3:3":            "three\n",
		"ansi=strip&lines=2":                 "two\n",
		"timestamps=1&lines=2:3":             stamp(0) + "\x1b[31mtwo\x1b[0m\n" + stamp(2) + "warning\n",
		"line_numbers=true&step=2":           "4:three\n5:four\n6:five",
		"grep=(?i)F&line_numbers=1":          "5:four\n6:five\n",
		"grep=two":                           "two\n",
		"grep=two&ansi=keep":                 "\x1b[31mtwo\x1b[0m\n",
		"grep=^one|five$&context=1":          "one\ntwo\n--\nfour\nfive\n",
		"grep=warn&context=1&line_numbers=1": "2-two\n3:warning\n4-three\n",
		"grep=o&step=2&line_numbers=1":       "5:four\n",
		"grep=o&stream=stderr":               "",
	} {
		resp := s.get(path+"?"+strings.ReplaceAll(query, "+", "%2B"), plain)
		got, err := readAll(resp)
		if err != nil || got != want || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || resp.Header.Get("Log-Attempt") != "1" {
			t.Errorf("%s: %q, want %q, %s, %v", query, got, want, resp.Status, err)
		}
		for _, only := range []string{"ansi=", "timestamps", "line_numbers", "grep"} {
			if strings.Contains(query, only) {
				query = ""
			}
		}
		if query == "" {
			continue
		}
		r := s.events(path+"?follow=false&"+query, plain)
		text := ""
		for e, err := r.Next(); ; e, err = r.Next() {
			if err != nil {
				t.Fatalf("%s: %v after %q", query, err, text)
			}
			if e.Name == "head" {
				if h := decode[wire.LogHead](t, e.Data); h.Attempt != 1 || h.Whole {
					t.Errorf("%s: its head is %s", query, e.Data)
				}
				break
			}
			p := decode[wire.LogPiece](t, e.Data)
			text += string(p.Bytes())
		}
		if text != want {
			t.Errorf("%s as a stream: %q, want %q", query, text, want)
		}
	}
	resp := s.get(path+"?download=1&tail=1", plain)
	if got := resp.Header.Get("Content-Disposition"); !strings.HasSuffix(got, `-1.log"`) || resp.Header.Get("Log-Offset") != strconv.Itoa(len(storyText)-4) {
		t.Errorf("a download: %v", resp.Header)
	}
}

// A stream that follows begins where it is asked to, and goes on from any id.
func TestAStreamBeginsWhereItIsAskedTo(t *testing.T) {
	s := newSite(t)
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	path, a := s.story(t, begin)
	plain := s.token("default", token.Viewer)
	a.step(2, "test", "succeeded")
	a.step(3, "report", "running")
	a.write(2, begin.Add(5*time.Second), "\nsix\n")
	a.finish(succeeded())
	const whole = storyText + "\nsix\n"
	for query, want := range map[string]string{
		"tail=2": "five\nsix\n", "step=3": "\nsix\n", "step=test&tail=1": "five", "stream=stderr": "warning\n\nsix\n", "stream=stderr&tail=1": "six\n",
		"since=" + url.QueryEscape(begin.Add(5*time.Second).Format(time.RFC3339)): "six\n",
	} {
		query = strings.ReplaceAll(query, "+", "%2B")
		got := collect(t, s.events(path+"?"+query, plain))
		if query == "step=test&tail=1" {
			want += "\nsix\n" // a step is where it begins; it follows to the end
		}
		if got.output != want {
			t.Errorf("%s: %q, want %q", query, got.output, want)
		}
		// An id wins over where it began.
		if got := collect(t, s.events(path+"?"+query, plain, "Last-Event-ID", logID(1, uint64(len(whole)-2)))); got.output != whole[len(whole)-2:] {
			t.Errorf("%s, resumed: %q", query, got.output)
		}
	}
	for have := range len(whole) {
		r := s.events(path+"?follow=false&tail=1", plain, "Last-Event-ID", logID(1, uint64(have)))
		text := ""
		for e, err := r.Next(); err == nil && e.Name != "head"; e, err = r.Next() {
			p := decode[wire.LogPiece](t, e.Data)
			text += string(p.Bytes())
		}
		if text != whole[have:] {
			t.Fatalf("after %d came %q", have, text)
		}
	}
}

// Ranges of a log are ranges as HTTP has them.
func TestRangesOfALog(t *testing.T) {
	s := newSite(t)
	plain := s.token("default", token.Viewer)
	j := s.submit(s.admin(), `{"command":"x"}`)
	a := s.start(j.ID, 1)
	data := make([]byte, 1<<20+123)
	_, _ = rand.NewChaCha8([32]byte{9}).Read(data)
	a.print(1, string(data))
	path, size := "/v1/jobs/"+j.ID+"/logs", len(data)
	for _, when := range []string{"running", "ended"} {
		etag := s.get(path, plain).Header.Get("ETag")
		if (etag != "") != (when == "ended") {
			t.Errorf("%s: its ETag is %q", when, etag)
		}
		for _, row := range []struct {
			ask      string
			status   int
			from, to int
		}{
			{"bytes=0-99", 206, 0, 100}, {"bytes=70000-140000", 206, 70000, 140001}, {"bytes=1048576-", 206, 1 << 20, size},
			{"bytes=-5", 206, size - 5, size}, {"bytes=0-99999999", 206, 0, size}, {fmt.Sprintf("bytes=%d-", size), 416, 0, 0},
			{"bytes=0-1,5-6", 200, 0, size}, {"lines=1-2", 416, 0, 0},
		} {
			resp := s.get(path, plain, "Range", row.ask)
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != row.status || err != nil || resp.Header.Get("Accept-Ranges") != "bytes" && row.status != 416 {
				t.Errorf("%s, %s: %s, %v, %v", when, row.ask, resp.Status, resp.Header, err)
			}
			if row.status == 416 {
				if p := decode[wire.Problem](t, body); resp.Header.Get("Content-Type") != problemType || p.Errors[0].Location != "header.Range" {
					t.Errorf("%s, %s: %v %s", when, row.ask, resp.Header, body)
				}
				continue
			}
			if sha256.Sum256(body) != sha256.Sum256(data[row.from:row.to]) {
				t.Errorf("%s, %s: %d bytes, want %d", when, row.ask, len(body), row.to-row.from)
			}
			if want := fmt.Sprintf("bytes %d-%d/%d", row.from, row.to-1, size); row.status == 206 && resp.Header.Get("Content-Range") != want {
				t.Errorf("%s, %s: %s", when, row.ask, resp.Header.Get("Content-Range"))
			}
		}
		if when == "running" {
			a.finish(succeeded())
			continue
		}
		if resp := s.get(path, plain, "If-None-Match", etag); resp.StatusCode != http.StatusNotModified {
			t.Errorf("nothing changed: %s", resp.Status)
		}
		if resp := s.get(path, plain, "Range", "bytes=0-0", "If-Range", `"another"`); resp.StatusCode != http.StatusOK {
			t.Errorf("a range of another: %s", resp.Status)
		}
	}
	if resp := s.get(path+"?ansi=strip", plain, "Range", "bytes=0-9"); resp.StatusCode != 200 || resp.Header.Get("Accept-Ranges") != "none" {
		t.Errorf("a range of a text that is changed: %s %v", resp.Status, resp.Header)
	}
	if resp := s.get(path+"?tail=2", plain, "Range", "bytes=1-3"); resp.StatusCode != 206 {
		t.Errorf("a range of the last lines: %s", resp.Status)
	}
}

// Pages of a search hold each line that matches once, and count them all.
func TestPagesOfASearch(t *testing.T) {
	s := newSite(t)
	plain := s.token("default", token.Viewer)
	j := s.submit(s.admin(), `{"command":"x"}`)
	a := s.start(j.ID, 1)
	var b strings.Builder
	want := 0
	for i := range 5000 {
		if i%7 == 3 {
			fmt.Fprintf(&b, "line %d is \x1b[1mbad\x1b[0m\xff\n", i+1)
			want++
			continue
		}
		fmt.Fprintf(&b, "line %d is good\n", i+1)
	}
	fmt.Fprint(&b, "a long bad line "+strings.Repeat("x", 300_000)+" with its end")
	a.print(1, b.String())
	a.finish(succeeded())
	path := "/v1/jobs/" + j.ID + "/logs?grep=" + url.QueryEscape(`bad.*`)
	seen, pages := 0, 0
	for cursor := ""; ; pages++ {
		status, kind, body := s.request("GET", path+"&limit=100&cursor="+cursor, plain, "", "Accept", jsonType)
		page := decode[wire.LogSearch](t, body)
		if status != 200 || kind != jsonType || !page.Complete || page.Count != uint64(want+1-seen) || len(page.Lines) > 100 || page.Attempt != 1 {
			t.Fatalf("%d %s: count %d of %d, %d lines", status, kind, page.Count, want+1-seen, len(page.Lines))
		}
		for _, l := range page.Lines {
			whole := b.String()[l.Offset:l.End]
			if text := fmt.Sprintf("line %d is bad\ufffd", seen*7+4); seen < want && (l.Text != text || l.Line != uint64(seen*7+4) || whole != fmt.Sprintf("line %d is \x1b[1mbad\x1b[0m\xff\n", l.Line)) {
				t.Fatalf("match %d: %+v, its bytes %q", seen, l, whole)
			}
			if seen == want && (!l.Cut || len(l.Text) != maxLineText || l.Line != 5001 || l.End != uint64(b.Len())) {
				t.Errorf("the long line: %d bytes of text, line %d", len(l.Text), l.Line)
			}
			seen++
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if seen != want+1 || pages != want/100 {
		t.Errorf("%d lines of %d on %d pages", seen, want+1, pages+1)
	}
	_, _, body := s.request("GET", path+"&limit=1&context=2&lines=3:", plain, "", "Accept", jsonType)
	page := decode[wire.LogSearch](t, body)
	got := ""
	for _, l := range page.Lines {
		got += fmt.Sprint(l.Line, l.Match, " ")
	}
	if got != "3 false 4 true 5 false 6 false " || page.Next == "" {
		t.Errorf("around the first match: %s, then %q", got, page.Next)
	}
	text, err := readAll(s.get(path, plain))
	if err != nil || strings.Count(text, "\n") != want || !strings.HasSuffix(text, " with its end") || !strings.HasPrefix(text, "line 4 is bad\xff\n") {
		t.Errorf("as text: %d lines of %d, %v", strings.Count(text, "\n"), want, err)
	}
	if status, _, body := s.request("HEAD", path, plain, ""); status != 200 || len(body) > 0 {
		t.Errorf("HEAD: %d", status)
	}
}

// More searches than may be at once are sent away.
func TestSearchesAreLimited(t *testing.T) {
	s := newSite(t)
	for range maxSearches {
		if _, _, err := s.server.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.server.begin(t.Context()); err == nil {
		t.Error("there are more than may be")
	}
}
