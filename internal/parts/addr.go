package parts

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// Ports that systems give to nobody who asks for any: what runs beside a test and listens
// at port 0, or connects to something, takes none of these before the test does.
const (
	lowestPort  = 20_000
	highestPort = 32_000
)

// port is the last that was given, so that none is given twice. Processes begin apart.
var port = func() *atomic.Uint32 {
	var p atomic.Uint32
	p.Store(rand.Uint32N(highestPort - lowestPort))
	return &p
}()

// FreeAddr is a loopback address that nothing listened on a moment ago.
func FreeAddr() (string, error) {
	var errs []error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+int(port.Add(1)%(highestPort-lowestPort))))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("find a free port: %w", errors.Join(errs...))
}
