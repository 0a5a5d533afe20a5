//go:build unix

package records

import (
	"errors"
	"os"
	"syscall"
)

// lock opens a file that no other process has open like this. It is free again
// when it is closed, or when the process ends, however it does.
func lock(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another process has it open")
		}
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
