package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
)

// changeWorker answers with a worker that was cordoned, uncordoned or drained.
func changeWorker(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Deadline string }
	_ = json.NewDecoder(r.Body).Decode(&asked)
	for _, worker := range fakeWorkers().Items {
		if named := r.PathValue("id"); worker.ID != named && worker.Name != named {
			continue
		}
		limit, err := time.ParseDuration(asked.Deadline)
		switch {
		case asked.Deadline == "soon":
			p := wire.NewProblem(422, "invalid", "body.deadline: it must be a duration such as 30m, at most 90d")
			p.Errors = []wire.Detail{{Location: "body.deadline", Message: "it must be a duration such as 30m, at most 90d"}}
			answer(w, 422, p)
			return
		case r.PathValue("what") == "uncordon" && worker.Draining:
			answer(w, 409, wire.NewProblem(409, "refused", "cannot uncordon worker "+worker.ID+": it is draining, which can't be undone"))
			return
		case err == nil:
			worker.DrainUntil = at(fakeNow.Add(limit))
		}
		worker.Cordoned, worker.Draining = r.PathValue("what") == "cordon", r.PathValue("what") == "drain" || worker.Draining
		answer(w, 200, worker)
		return
	}
	p := wire.NewProblem(404, "not_found", "there is no worker "+r.PathValue("id"))
	p.Help = "the workers there are: hodei worker list"
	answer(w, 404, p)
}
