package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// The log says of each event who caused it, by which part and request. From where
// a request came is an address of a person, which must be possible to erase, so it
// is not in the log: the server tells it of itself, with the request's id.

// tellOrigin tells of a request that may have changed something who sent it and
// from where.
func (s *server) tellOrigin(ctx huma.Context, p *principal) {
	if m := ctx.Method(); p.actor == "" || m == http.MethodGet || m == http.MethodHead {
		return
	}
	s.tell(ctx.Context(), p, origin(ctx.RemoteAddr(), ctx.Header("X-Forwarded-For")), ctx.Method(), ctx.URL().Path, ctx.Status())
}

func (s *server) tell(ctx context.Context, p *principal, from, method, path string, status int) {
	s.Logger.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("request_id", uuid.UUID(p.request).String()), slog.String("actor", p.actor),
		slog.String("from", from), slog.String("method", method), slog.String("path", cutTo(path, maxPlace)), slog.Int("status", status))
}

// origin is the address that a request came from. A proxy on this machine says for
// whom it asks, last in the header; of others' headers nothing is believed.
func origin(peer, forwarded string) string {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		host = peer
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return host
	}
	last := forwarded[strings.LastIndexByte(forwarded, ',')+1:]
	if ip, err := netip.ParseAddr(strings.TrimSpace(last)); err == nil {
		return ip.String()
	}
	return host
}
