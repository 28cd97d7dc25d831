package gateway_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/agentproto/gateway/dummy"
	"github.com/hodei-jobs/hodei/agentproto/gateway/gatewaytest"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/aggregates/worker"
	"github.com/hodei-jobs/hodei/projections"
)

// asked are all calls that agents may make, and how one is made. One that is not
// listed fails the test.
var asked = map[string]func(t *testing.T, a *gatewaytest.Agent) error{
	"hodei.worker.v1.WorkerService/Connect": func(t *testing.T, a *gatewaytest.Agent) error {
		s, err := a.Try(t.Context())
		if err == nil {
			s.Cut()
		}
		return err
	},
}

// rpcs are the calls of all services of ours that are linked into this test, as
// they are into the server.
func rpcs() (names []string) {
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for k := range service.Methods().Len() {
				if strings.HasPrefix(string(service.FullName()), "hodei.") {
					names = append(names, string(service.FullName())+"/"+string(service.Methods().Get(k).Name()))
				}
			}
		}
		return true
	})
	return names
}

// Every call is refused to who has nothing of a worker's: no token of the API, of
// whatever role, lets anybody in, and the refusal registers no worker.
func TestEveryRPCAsksForAWorker(t *testing.T) {
	server, other := gatewaytest.Start(t, gatewaytest.Options{}), gatewaytest.Start(t, gatewaytest.Options{})
	known := gatewaytest.NewAgent(t, server)
	known.Connect(t).Cut()
	server.Until(t, "it has left", func(w *projections.World) bool {
		row, ok := w.Workers.Get(known.Worker(t))
		return ok && row.Status == worker.Disconnected
	})
	callers := map[string]func(a *gatewaytest.Agent){
		"nothing":         func(a *gatewaytest.Agent) { a.Token = "" },
		"no token at all": func(a *gatewaytest.Agent) { a.Token = "nonsense" },
		"half a token":    func(a *gatewaytest.Agent) { a.Token = a.Token[:len(a.Token)/2] },
		"a changed token": func(a *gatewaytest.Agent) { a.Token = changed(a.Token) },
		"an expired token": func(a *gatewaytest.Agent) {
			a.Token = server.Token(t, authority.Claims{Expires: time.Now().Add(-time.Second)})
		},
		"another server's":    func(a *gatewaytest.Agent) { a.Token = other.Token(t, authority.Claims{}) },
		"a known worker's id": func(a *gatewaytest.Agent) { a.Token, a.WorkerID = "", known.WorkerID },
	}
	for _, role := range token.Roles {
		plain, _, err := server.Commands.CreateToken(t.Context(), gatewaytest.Caller, token.Create{Name: "n", Namespace: token.AllNamespaces, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		callers["an API token of a "+role.String()] = func(a *gatewaytest.Agent) { a.Token = plain }
	}
	for _, name := range rpcs() {
		ask, ok := asked[name]
		if !ok {
			t.Errorf("%s is not listed: say how it is asked", name)
			continue
		}
		for who, change := range callers {
			agent := gatewaytest.NewAgent(t, server)
			change(agent)
			before, _ := server.Store.Wait()
			var refused *dummy.RefusedError
			if err := ask(t, agent); !errors.As(err, &refused) || !refused.Final {
				t.Errorf("%s with %s: %v, want a final refusal", name, who, err)
			}
			if after, _ := server.Store.Wait(); after != before {
				t.Errorf("%s with %s was refused and recorded %d events", name, who, after-before)
			}
		}
		if err := ask(t, gatewaytest.NewAgent(t, server)); err != nil {
			t.Errorf("%s with a new token: %v", name, err)
		}
	}
	for name := range asked {
		if !slices.Contains(rpcs(), name) {
			t.Errorf("%s is listed, and there is no such call", name)
		}
	}
}

// changed is a token with another signature.
func changed(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	other := byte('A')
	if token[at] == other {
		other = 'B'
	}
	return token[:at] + string(other) + token[at+1:]
}
