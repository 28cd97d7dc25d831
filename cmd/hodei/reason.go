package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// Reasons that mean that something else than our API answers at an address.
const (
	noHTTP     = "it does not answer in HTTP"
	closedOnUs = "it closed the connection"
)

// reason says why something failed, without the way the error took through Go's
// packages: connection refused, not dial tcp 127.0.0.1:1: connect: connection refused.
func reason(err error) string {
	var no syscall.Errno
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var host x509.HostnameError
	var timeout net.Error
	switch {
	case err == nil:
		return "nothing is known"
	case errors.As(err, &dns):
		return "no machine is called " + dns.Name
	case errors.As(err, &no):
		return no.Error()
	case errors.As(err, &host):
		return "its certificate is for another name"
	case errors.As(err, &certificate):
		return "its certificate is not one this machine trusts"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return closedOnUs
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it did not answer in time"
	}
	return plainly(err)
}

// plainly takes away what the net/http package puts around its words.
func plainly(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	text := err.Error()
	if strings.Contains(text, "malformed HTTP") || strings.Contains(text, "server gave HTTP response to HTTPS client") {
		return noHTTP
	}
	return strings.TrimPrefix(strings.TrimPrefix(text, "net/http: "), "http: ")
}
