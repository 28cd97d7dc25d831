package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/commands"
)

// names are those of all jobs that a query chooses, page by page, with the number of
// the pages.
func (s *site) names(c *client.Client, q client.JobsQuery) (names string, pages int) {
	s.t.Helper()
	var all []string
	for {
		page, err := c.Jobs(s.t.Context(), q)
		if err != nil {
			s.t.Fatalf("%+v: %v", q, err)
		}
		pages++
		for i := range page.Items {
			all = append(all, page.Items[i].Name)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return strings.Join(all, " "), pages
		}
	}
}

func TestJobsAreFoundByWhatTheyAre(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	atlas := s.worker("atlas")
	s.submit(c, `{"command":"x","name":"build-web","labels":{"team":"web","stage":"prod"}}`)
	s.submit(c, `{"command":"x","name":"build-api","labels":{"team":"api","odd":"a,b \"c\""}}`)
	third := s.submit(c, `{"command":"x","name":"Test-Web","labels":{"team":"web"}}`)
	last := s.submit(c, `{"command":"labels team=web","name":"deploy"}`)
	if _, errs := s.commands.BindJobs(t.Context(), tester, []commands.Binding{{Job: parseID(t, third.ID), Attempt: 1, Worker: parseID(t, atlas)}}); errs[0] != nil {
		t.Fatal(errs[0])
	}
	// Time is that of the log: the third was submitted then, and others before.
	then := third.Submitted.Format(time.RFC3339Nano)
	for _, row := range []struct {
		query client.JobsQuery
		want  string
	}{
		{client.JobsQuery{Labels: []string{"team=web"}}, "Test-Web build-web"},
		{client.JobsQuery{Labels: []string{"team=web", "stage=prod"}}, "build-web"},
		{client.JobsQuery{Labels: []string{"team"}}, "Test-Web build-api build-web"},
		{client.JobsQuery{Labels: []string{`odd=a,b "c"`}}, "build-api"},
		{client.JobsQuery{Labels: []string{"team="}}, ""},
		{client.JobsQuery{Name: "build-web"}, "build-web"},
		{client.JobsQuery{Name: "build"}, ""},
		{client.JobsQuery{Name: "*web"}, "build-web"},
		{client.JobsQuery{Name: "b*d-*"}, "build-api build-web"},
		{client.JobsQuery{Name: "*"}, "deploy Test-Web build-api build-web"},
		{client.JobsQuery{Text: "WEB"}, "Test-Web build-web"},
		{client.JobsQuery{Text: last.ID[2:6]}, "deploy"},
		{client.JobsQuery{Worker: "atlas"}, "Test-Web"},
		{client.JobsQuery{Worker: atlas}, "Test-Web"},
		{client.JobsQuery{Since: then}, "deploy Test-Web"},
		{client.JobsQuery{Until: then}, "build-api build-web"},
		{client.JobsQuery{Since: then, Labels: []string{"team"}}, "Test-Web"},
		{client.JobsQuery{Since: "1h"}, "deploy Test-Web build-api build-web"},
		{client.JobsQuery{Until: "1h"}, ""},
		{client.JobsQuery{OldestFirst: true}, "build-web build-api Test-Web deploy"},
		{client.JobsQuery{OldestFirst: true, Since: then}, "Test-Web deploy"},
		{client.JobsQuery{OldestFirst: true, Until: then}, "build-web build-api"},
		{client.JobsQuery{Ended: true}, ""},
	} {
		for _, limit := range []int{1, 2, 100} {
			row.query.Limit = limit
			if got, _ := s.names(c, row.query); got != row.want {
				t.Errorf("%+v: %q, want %q", row.query, got, row.want)
			}
		}
	}
}

// Those that have ended are listed by when they did, and since when is of that.
func TestJobsAreListedByTheirEnd(t *testing.T) {
	s := newSite(t)
	c := s.admin()
	var ids []string
	for _, name := range []string{"a", "b", "c", "d"} {
		ids = append(ids, s.submit(c, `{"command":"x","name":"`+name+`"}`).ID)
	}
	for _, n := range []int{2, 0, 1} {
		s.run(ids[n], 1, "", succeeded())
	}
	second, err := c.Job(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	then := second.Finished.Format(time.RFC3339Nano)
	for _, row := range []struct {
		query client.JobsQuery
		want  string
	}{
		{client.JobsQuery{Ended: true}, "b a c"},
		{client.JobsQuery{Ended: true, OldestFirst: true}, "c a b"},
		{client.JobsQuery{Ended: true, Since: then}, "b a"},
		{client.JobsQuery{Ended: true, Until: then}, "c"},
		{client.JobsQuery{Ended: true, OldestFirst: true, Since: then}, "a b"},
		{client.JobsQuery{Ended: true, OldestFirst: true, Until: then}, "c"},
		{client.JobsQuery{Ended: true, Name: "a"}, "a"},
	} {
		for _, limit := range []int{1, 2, 100} {
			row.query.Limit = limit
			if got, _ := s.names(c, row.query); got != row.want {
				t.Errorf("%+v: %q, want %q", row.query, got, row.want)
			}
		}
	}
}

// Whatever comes and ends between two pages, no job is shown twice and none that was
// there is left out, in each order.
func TestPagesOfEachOrderAreStable(t *testing.T) {
	for _, q := range []client.JobsQuery{{}, {OldestFirst: true}, {Ended: true}, {Ended: true, OldestFirst: true}} {
		s := newSite(t)
		c := s.admin()
		var want []string
		for i := range 7 {
			j := s.submit(c, fmt.Sprintf(`{"command":"x","name":"n%d","labels":{"of":"it"}}`, i))
			s.run(j.ID, 1, "", succeeded())
			want = append(want, j.Name)
		}
		if !q.OldestFirst {
			slices.Reverse(want)
		}
		var got []string
		for q.Limit, q.Labels = 2, []string{"of"}; ; {
			page, err := c.Jobs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for i := range page.Items {
				got = append(got, page.Items[i].Name)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
			s.run(s.submit(c, `{"command":"x","name":"other"}`).ID, 1, "", succeeded())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: %q, want %q", q, got, want)
		}
	}
}

// One request reads a bounded number of submissions; the next goes on where it ended.
func TestALongSearchIsCutIntoPages(t *testing.T) {
	s := newSite(t)
	many := make([]commands.Submission, 0, maxRead+3)
	for n := range cap(many) {
		sub := commands.Submission{}
		sub.Spec.Argv, sub.Spec.Name = []string{"true"}, "plain"
		if n == 0 || n == cap(many)-1 {
			sub.Spec.Name = "wanted"
		}
		many = append(many, sub)
	}
	for _, done := range s.commands.SubmitJobs(t.Context(), tester, many) {
		if done.Err != nil {
			t.Fatal(done.Err)
		}
	}
	c := s.admin()
	for _, q := range []client.JobsQuery{{Name: "wanted"}, {Name: "wanted", OldestFirst: true}} {
		if got, pages := s.names(c, q); got != "wanted wanted" || pages != 2 {
			t.Errorf("found %q in %d pages", got, pages)
		}
	}
}

func TestListsThatAreRefused(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Viewer)
	for query, where := range map[string]string{
		"since=soon": "query.since", "until=x": "query.until", "since=10m&until=20m": "query.until", "label=%3Dx": "query.label",
		"sort=name": "query.sort", "order=up": "query.order", "worker=nowhere": "query.worker", "sort=ended&cursor=5": "query.cursor", "cursor=e5": "query.cursor",
		"order=asc&cursor=e5": "query.cursor", "sort=ended&cursor=ex": "query.cursor", "name=a&name=b": "query.name",
		strings.Repeat("label=a&", maxLabelsAsked+1): "query.label", "name=" + strings.Repeat("x", 129): "query.name",
	} {
		status, kind, body := s.request("GET", "/v1/jobs?"+strings.TrimSuffix(query, "&"), plain, "")
		if want := map[bool]int{true: 404, false: 422}[where == "query.worker"]; status != want || kind != problemType || !strings.Contains(string(body), `"location":"`+where+`"`) {
			t.Errorf("%s: %d %s, want %d at %s", query, status, body, want, where)
		}
	}
}
