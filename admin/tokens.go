package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// Role is what a caller is, and what a caller must be at least to use a route.
type Role int

// The roles, each of which may do what those before it may.
const (
	Everyone Role = iota + 1 // a route's only: its callers are asked nothing
	Viewer                   // may read
	Operator                 // may change, and take tokens
)

// String is the role's word, as a file of tokens has it.
func (r Role) String() string {
	switch r {
	case Everyone:
		return "everyone"
	case Viewer:
		return "viewer"
	case Operator:
		return "operator"
	}
	return fmt.Sprintf("Role(%d)", int(r))
}

// RoleOf is the role of a token by its word.
func RoleOf(word string) (role Role, known bool) {
	switch word {
	case "viewer":
		return Viewer, true
	case "operator":
		return Operator, true
	}
	return 0, false
}

// Token is what opens the API for one caller. What the caller sends is not kept, only
// its SHA-256 hash.
type Token struct {
	Role Role
	Name string // the default author of what is changed with it; empty: it has none
	Hash [sha256.Size]byte
}

// NewToken is a token of a text that the caller sends.
func NewToken(role Role, name, text string) Token {
	return Token{role, name, sha256.Sum256([]byte(text))}
}

// RandomToken is a new text to send, of 256 random bits. The word before them lets
// scanners for leaked secrets know it.
func RandomToken() string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // it never fails
	return "weir_" + hex.EncodeToString(bits[:])
}

const hashPrefix = "sha256:"

// Line is the token as a file of tokens has it.
func (t Token) Line() string {
	return fmt.Sprintf("%s %s %s%x", t.Role, t.Name, hashPrefix, t.Hash)
}

var tokenName = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)

// CheckTokenName says what a name must be, if it is not.
func CheckTokenName(name string) error {
	if !tokenName.MatchString(name) {
		return fmt.Errorf("a name has 1 to 64 letters, digits and any of . _ @ -")
	}
	return nil
}

// Tokens are all that open the API.
type Tokens []Token

// MaxTokensFile bounds a file of tokens, in bytes.
const MaxTokensFile = 1 << 20

// ParseTokens reads a file of tokens, one in each line as [Token.Line] writes it,
// besides empty lines and those that begin with #. An error begins with file:line and
// repeats nothing of the line, which may hold a secret by mistake.
func ParseTokens(file string, content []byte) (Tokens, error) {
	if len(content) > MaxTokensFile {
		return nil, fmt.Errorf("%s: the file has more than %d bytes", file, MaxTokensFile)
	}
	var all Tokens
	places := map[[sha256.Size]byte]int{}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		token, err := parseToken(line)
		if first, twice := places[token.Hash]; err == nil && twice {
			err = fmt.Errorf("the token is that of line %d: remove one of them", first)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, number, err)
		}
		places[token.Hash] = number
		all = append(all, token)
	}
	return all, nil
}

func parseToken(line string) (t Token, err error) {
	const remedy = "write ROLE NAME sha256:HEX, as weir token prints it"
	parts := strings.Fields(line)
	if len(parts) != 3 {
		return t, fmt.Errorf("the line has %d parts, not 3: %s", len(parts), remedy)
	}
	role, known := RoleOf(parts[0])
	if !known {
		return t, fmt.Errorf("the role is neither viewer nor operator: %s", remedy)
	}
	if err := CheckTokenName(parts[1]); err != nil {
		return t, fmt.Errorf("%w: %s", err, remedy)
	}
	digits, marked := strings.CutPrefix(parts[2], hashPrefix)
	hash, err := hex.DecodeString(digits)
	if !marked || err != nil || len(hash) != sha256.Size {
		return t, fmt.Errorf("the hash is not sha256: and 64 hexadecimal digits: %s", remedy)
	}
	return Token{role, parts[1], [sha256.Size]byte(hash)}, nil
}

// of is the token of a text that a caller sent. How long it takes tells nothing of the
// tokens but their number.
func (t Tokens) of(text string) (found Token, known bool) {
	return t.withHash(sha256.Sum256([]byte(text)))
}

// withHash is the token of a hash, found as [Tokens.of] does it.
func (t Tokens) withHash(sent [sha256.Size]byte) (found Token, known bool) {
	at := -1
	for i := range t {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sent[:], t[i].Hash[:]), i, at)
	}
	if at < 0 {
		return Token{}, false
	}
	return t[at], true
}
