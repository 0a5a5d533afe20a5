package backend

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"github.com/weir-rls/weir/internal/files"
)

// tls is how the Redis is spoken to, with files that the variables of a prefix name.
func (s *server) tls(with Files, named string) (func() *tls.Config, error) {
	if (with.Cert == "") != (with.Key == "") {
		s.log.Warn("Redis is shown no certificate: it needs both files", "remedy", "set "+named+"TLS_CLIENT_CERT and "+named+"TLS_CLIENT_KEY")
		with.Cert, with.Key = "", ""
	}
	secure := files.Client{
		Server:      "Redis",
		Pair:        files.Pair{Cert: with.Cert, Key: with.Key, Settings: named + "TLS_CLIENT_CERT, " + named + "TLS_CLIENT_KEY"},
		Authorities: files.Authorities{File: with.CA, Setting: named + "TLS_CACERT", System: true},
		AnyName:     with.AnyName,
		Log:         s.log,
	}
	return secure.Open()
}

// credentials are those in the file, which has what AUTH would have.
func (s *server) credentials() (func() (user, password string), error) {
	if s.settings.Auth != "" {
		return nil, fmt.Errorf("%[1]sAUTH_FILE: it has what %[1]sAUTH has: set one of them", s.prefix)
	}
	file := s.settings.AuthFile
	f := &files.Replaced[string]{What: "the password for Redis", Names: []string{file}, Log: s.log, Read: func() (string, error) {
		text, err := os.ReadFile(file)
		if text = bytes.TrimSpace(text); err == nil && len(text) == 0 {
			err = errors.New("there is no password in it")
		}
		if err != nil {
			return "", fmt.Errorf("%sAUTH_FILE: %w", s.prefix, err)
		}
		return string(text), nil
	}}
	return func() (user, password string) { return credentials(f.Current()) }, f.Open()
}
