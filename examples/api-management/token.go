package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"
)

// signer stands for the OAuth server. Its public half is in envoy.yaml; the
// private one is no secret, so nothing but this example may trust it.
var signer = func() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("api-management: not a secret"))
	return ed25519.NewKeyFromSeed(seed[:])
}()

// token is an access token (RFC 7519, signed with EdDSA, RFC 8037) of a user for
// the next hour.
func token(user string) string { return tokenUntil(user, time.Now().Add(time.Hour)) }

func tokenUntil(user string, expires time.Time) string {
	part := func(claims map[string]any) string {
		text, err := json.Marshal(claims)
		if err != nil {
			panic(err) // strings and numbers always marshal
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": "example"}) + "." +
		part(map[string]any{"iss": "https://login.example.com", "aud": "api", "sub": user, "exp": expires.Unix()})
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(signer, []byte(signed)))
}
