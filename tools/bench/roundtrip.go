package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// tokenScript is a token bucket as plain as one can be: what a decision needs of
// Redis at least.
const tokenScript = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = tonumber(redis.call('GET', KEYS[1])) or now
local free = math.max(full, now) + ARGV[1]
if free - now > ARGV[2] + 0 then return {0, free - now} end
redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', 60000)
return {1, ARGV[2] - (free - now)}`

// lineConn asks Redis over a bare connection, one question at a time.
type lineConn struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
}

// openRoundTrip loads the script and prepares its call.
func openRoundTrip(address string) (*lineConn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &lineConn{conn: conn, answers: bufio.NewReader(conn)}
	if _, err := conn.Write(command("SCRIPT", "LOAD", tokenScript)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	sha, err := c.bulk()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c.request = command("EVALSHA", sha, "1", "{bench}roundtrip", "1", "1000000000")
	return c, nil
}

// command is a command in Redis's protocol.
func command(words ...string) []byte {
	var out strings.Builder
	fmt.Fprintf(&out, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(word), word)
	}
	return []byte(out.String())
}

func (c *lineConn) line() (string, error) {
	line, err := c.answers.ReadString('\n')
	if strings.HasPrefix(line, "-") {
		err = fmt.Errorf("the answer of Redis is %s", strings.TrimSpace(line))
	}
	return strings.TrimSpace(line), err
}

func (c *lineConn) bulk() (string, error) {
	if _, err := c.line(); err != nil { // its length
		return "", err
	}
	return c.line()
}

// ask calls the script once and answers how long that took.
func (c *lineConn) ask() (time.Duration, error) {
	began := time.Now()
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, err
	}
	const lines = 3 // an array of two integers
	for range lines {
		if _, err := c.line(); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// median is the middle of as many round trips as fit into a time.
func (c *lineConn) median(within time.Duration) (time.Duration, error) {
	var all figure
	for end := time.Now().Add(within); time.Now().Before(end); {
		took, err := c.ask()
		if err != nil {
			return 0, err
		}
		all.add(float64(took))
	}
	if len(all) == 0 {
		return 0, io.ErrNoProgress
	}
	return time.Duration(all.median()), nil
}
