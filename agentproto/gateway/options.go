package gateway

import (
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// Limits of a connection.
const (
	maxMessage     = 256 << 10 // bytes of one message: a Hello of an agent with all it may have, a few chunks
	maxStreams     = 8         // at once on one connection
	maxHeaders     = 32 << 10  // bytes; a token is part of them
	windowStream   = 1 << 20   // fixed windows: no probing pings
	windowConn     = 2 << 20
	bufferRead     = 8 << 10 // an idle connection should be small
	bufferWrite    = 32 << 10
	connectionTime = 10 * time.Second // for TLS and HTTP/2 set-up
	connectionIdle = 30 * time.Second // without a call; then the connection is closed
)

// ServerOptions returns what the gRPC server that carries the gateway must be
// made with. Its listener is to be one of package door.
func ServerOptions(c *tls.Config) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(c)),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.InitialWindowSize(windowStream),
		grpc.InitialConnWindowSize(windowConn),
		grpc.ReadBufferSize(bufferRead),
		grpc.WriteBufferSize(bufferWrite),
		grpc.ConnectionTimeout(connectionTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: connectionIdle}),
		// Heartbeats are messages, because proxies don't pass pings on. An agent or
		// a proxy that pings nevertheless is not sent away for it.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
}
