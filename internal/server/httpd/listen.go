package httpd

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Listen returns a listener on the address of a server. The errors name the
// address and the remedy.
func Listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use, perhaps by another Tagma: stop the other program, or give another address by --listen (TAGMA_LISTEN), such as 127.0.0.1:8081", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s: give a port from 1024 on by --listen (TAGMA_LISTEN)", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is no address of this machine: give another by --listen (TAGMA_LISTEN), such as 127.0.0.1:8080, or :8080 for all of them", address)
	}
	return nil, fmt.Errorf("cannot listen on %q: give HOST:PORT by --listen (TAGMA_LISTEN), such as 127.0.0.1:8080: %w", address, err)
}
