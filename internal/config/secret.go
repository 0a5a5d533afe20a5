package config

// Secret is a text that is shown nowhere: not printed, not logged, not
// marshalled.
type Secret string

// String is stars, or nothing for the empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// Reveal is the text, for whoever uses it.
func (s Secret) Reveal() string { return string(s) }

// GoString is String for %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText is String for JSON and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// secretKey says what is wrong with a key, in words that repeat no part of it.
func secretKey(value any) string {
	if n := len(value.(string)); n > 0 && n < 32 {
		return "is too short to be a key: give at least 32 random characters, as from `openssl rand -hex 32`"
	}
	return ""
}
