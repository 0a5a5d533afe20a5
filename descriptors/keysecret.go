package descriptors

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// keysSpec is what a file says of values in bucket keys.
type keysSpec struct {
	at      place
	path    string // of the secret, empty if the file does not say
	pathAt  place
	only    map[string]place // keys of the entries that are hashed, nil: all
	secret  []byte           // nil if it could not be read
	trouble string           // why
}

const (
	minSecret = 32      // bytes, as many as the hash has
	maxSecret = 4 << 10 // bytes
	maxHashed = 64      // entries

	secretForm = "make one, as in openssl rand -hex 32 > FILE"
)

// keyHash reads that values enter bucket keys as a keyed hash.
func (w *walker) keyHash(f field) *keysSpec {
	k := &keysSpec{at: at(w.text, f.key)}
	fields, ok := w.fields(f.value, keysFields)
	if !ok {
		return k
	}
	if h, stated := fields["hash"]; stated {
		w.word(h, hashWords)
	} else {
		w.fail(f.key, "write hash: hmac-sha256", "keys has no hash")
	}
	if s, stated := fields["secret_file"]; !stated || s.null() {
		w.fail(f.key, "name a file of at least 32 bytes, as in secret_file: /etc/weir/keys.secret", "keys has no secret_file")
	} else if path, ok := w.str(s); ok && path == "" {
		w.fail(s.value, "name a file of at least 32 bytes", "secret_file is empty")
	} else if ok {
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(w.text.file), path)
		}
		k.path, k.pathAt = path, at(w.text, s.value)
	}
	if e, stated := fields["entries"]; stated {
		w.hashed(e, k)
	}
	k.read()
	if k.trouble != "" {
		w.faults = append(w.faults, k.pathAt.fault(Error, "the secret file "+quote(k.path)+" "+k.trouble, secretForm+", and let weir read it"))
	}
	return k
}

// hashed reads the keys of the entries that k is about.
func (w *walker) hashed(f field, k *keysSpec) {
	items, ok := w.items(f)
	if ok && (len(items) == 0 || len(items) > maxHashed) {
		w.fail(f.value, "leave entries out to hash the values of all", "entries has 1 to %d keys, not %d", maxHashed, len(items))
	}
	k.only = map[string]place{}
	for _, n := range items {
		key, ok := w.str(field{f.key, n})
		if _, twice := k.only[key]; ok && (key == "" || twice || strings.Contains(key, "*")) {
			w.fail(n, "name keys of entries, each once", "%s cannot stand in the entries of keys", quote(key))
			continue
		}
		k.only[key] = at(w.text, n)
	}
}

// read reads the secret.
func (k *keysSpec) read() {
	if k.secret, k.trouble = nil, ""; k.path == "" {
		return
	}
	secret, err := readSecret(k.path)
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		err = pe.Err
	}
	switch {
	case err != nil:
		k.trouble = "cannot be read: " + printable(err.Error(), maxShown)
	case len(secret) < minSecret:
		k.trouble = fmt.Sprintf("has %d bytes, fewer than %d", len(secret), minSecret)
	case len(secret) > maxSecret:
		k.trouble = fmt.Sprintf("has more than %d bytes", maxSecret)
	default:
		k.secret = secret
	}
}

// readSecret reads a secret without the newline that may end it, but not much more
// than the longest.
func readSecret(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file") // a pipe would keep us waiting
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	secret, err := io.ReadAll(io.LimitReader(f, maxSecret+3))
	secret = bytes.TrimSuffix(secret, []byte("\n"))
	return bytes.TrimSuffix(secret, []byte("\r")), err
}

// stale tells that the secret is not any more what was read.
func (k *keysSpec) stale() bool {
	if k == nil {
		return false
	}
	now := *k
	now.read()
	return now.trouble != k.trouble || !bytes.Equal(now.secret, k.secret)
}

// choice is what two files of a domain must agree on; none where there is no secret.
func (k *keysSpec) choice() choice {
	if k == nil || k.secret == nil {
		return choice{}
	}
	return choice{fmt.Sprintf("%x %t %q", sha256.Sum256(k.secret), k.only == nil, slices.Sorted(maps.Keys(k.only))), k.at}
}

// keys makes the hash that values enter bucket keys as, if the files state one. A
// file whose secret is unknown hides all values from those who read its faults. The
// domain's passive entries are known.
func (c *compiler) keys(files []*file) {
	stated := c.agreed("keys", files, func(f *file) choice { return f.keys.choice() })
	i := slices.IndexFunc(files, func(f *file) bool { return f.keys != nil && f.keys.choice() == stated })
	if i < 0 {
		return
	}
	k := files[i].keys
	h := newKeyHash(k.secret)
	c.domain.hash, h.spared = h, c.domain.isPassive(requestIDKey)
	if h.blind || k.only == nil {
		return
	}
	h.only = map[string]struct{}{}
	for key, at := range k.only {
		if h.only[key] = struct{}{}; key == requestIDKey && h.spared {
			c.fail(at, quote(key)+" is passive, there to be told", "take it off entries, or off passive")
		}
	}
}

// unmet warns of entries that are to be hashed and that nothing has: a name that is
// misspelt leaves in Redis what should not stand there.
func (c *compiler) unmet(files []*file, rules []*rule) {
	for _, f := range files {
		if f.keys == nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(f.keys.only)) {
			split := slices.ContainsFunc(files, func(f *file) bool {
				return slices.ContainsFunc(f.pools, func(p *poolSpec) bool { return slices.Contains(p.splitBy, key) })
			})
			alone := &keyHash{only: map[string]struct{}{key: {}}}
			if !split && !c.domain.isPassive(key) && !alone.met(rules) {
				c.warn(f.keys.only[key], "no descriptor has the entry "+quote(key)+", whose values are to be hashed", "write the key that Envoy sends")
			}
		}
	}
}

// met tells whether values of one of rules, or of those below, are replaced.
func (h *keyHash) met(rules []*rule) bool {
	return slices.ContainsFunc(rules, func(r *rule) bool { return h.covers(r) || h.met(r.children) })
}
