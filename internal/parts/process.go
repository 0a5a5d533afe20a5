package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	readyWithin = 20 * time.Second      // a part starts in 0.1 s; a busy machine gets 200 times that
	stopWithin  = 15 * time.Second      // longer than weir's drain delay and the calls in flight after it
	pollEvery   = 10 * time.Millisecond // between two looks at a part that is not ready yet
)

// Process is a running child process, in a process group of its own so that a
// Ctrl-C in the terminal reaches the parent alone, which then decides the order
// in which its parts stop.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  tail
	done chan struct{}
	err  error // how it ended; read after done is closed
}

// Program is what [Program.Start] runs.
type Program struct {
	Path string // within Root, if there is one
	Args []string
	Dir  string   // the working directory; the present one if empty
	Env  []string // NAME=value; nil: that of this process

	// Root is a directory that is the whole file system to the program, and User the user and
	// group that it runs as. Only root may state them; empty and 0 change nothing.
	Root string
	User uint32
}

// Start runs binary with args in the directory dir, the present one if empty; see
// [Program.Start].
func Start(binary, dir string, args ...string) (*Process, error) {
	return Program{Path: binary, Dir: dir, Args: args}.Start()
}

// Start runs the program. What it writes is kept, bounded, for [Process.Output]. On
// Linux the child is killed when this process dies, however it dies.
func (o Program) Start() (*Process, error) {
	p := &Process{name: filepath.Base(o.Path), cmd: exec.Command(o.Path, o.Args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = o.Dir, o.Env
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = childAttributes()
	p.cmd.SysProcAttr.Chroot = o.Root
	if o.User != 0 {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: o.User, Gid: o.User}
	}
	p.cmd.WaitDelay = time.Second // a grandchild may hold the pipes open
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// run starts the child and waits for it on one locked thread, because Linux
// ends the child when the thread that made it ends, not the process.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

// Pid is the child's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is the end of what the child wrote to its standard output and error,
// at most the last 256 KiB.
func (p *Process) Output() string { return p.log.String() }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait blocks until the child has ended and says how: nil for exit status 0,
// an [*exec.ExitError] for another one or a signal.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Signal sends sig to the child alone. A child that has already ended is no
// error.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Kill ends the child at once, as a power cut would, and waits for its end.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.done
	return err
}

// Stop asks the child to end and waits for it, and kills it after 15 s. The
// error tells that the child had to be killed; how else it ended is
// [Process.Wait]'s answer.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopWithin):
		return errors.Join(fmt.Errorf("%s did not end within %v of SIGTERM and was killed", p.name, stopWithin), p.Kill())
	}
}

// await polls ready until it answers nil. When the child ends first or the time
// is up it ends the child, and the error holds the last lines of its output.
func (p *Process) await(ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready (%v); it wrote:\n%s", p.name, p.err, p.log.LastLines(20))
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s was not ready within %v: %w; it wrote:\n%s", p.name, readyWithin, err, p.log.LastLines(20)), p.Kill())
		case <-tick.C:
		}
	}
}
