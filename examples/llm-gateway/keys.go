package main

import (
	"encoding/json"
	"net/http"
	"strings"
)

// directory stands for the gateway's list of keys. Envoy asks it about each
// request (ext_authz), and tells weir and the models what it answers.
type directory map[string]caller

// caller is whose key it is. The group of the key comes before the group of the
// user.
type caller struct{ key, user, userGroup, tokenGroup string }

var callers = directory{
	"sk-alice":     {key: "alice-1", user: "alice", userGroup: "default"},
	"sk-alice-vip": {key: "alice-2", user: "alice", userGroup: "default", tokenGroup: "vip"},
	"sk-bob":       {key: "bob-1", user: "bob", userGroup: "vip"},
	"sk-bob-vip":   {key: "bob-2", user: "bob", userGroup: "vip", tokenGroup: "vip"},
	"sk-bob-new":   {key: "bob-3", user: "bob", userGroup: "vip", tokenGroup: "not in the table"},
	"sk-carol":     {key: "carol-1", user: "carol", userGroup: "default"},
	"sk-dave":      {key: "dave-1", user: "dave", userGroup: "trial"},
	"sk-erin":      {key: "erin-1", user: "erin"},
	"sk-ci":        {key: "ci", user: "frank", userGroup: "vip"},
}

// ServeHTTP answers 200 with the caller's names, or the 401 that he is to see.
func (d directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	c, known := d[key]
	if !bearer || !known {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		writeJSON(w, failed("无效的令牌", "invalid_api_key"))
		return
	}
	for name, value := range map[string]string{"X-Key": c.key, "X-User": c.user, "X-User-Group": c.userGroup, "X-Token-Group": c.tokenGroup} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
}

// failed is an error in the form of OpenAI's API.
func failed(message, code string) any {
	return map[string]any{"error": map[string]string{"message": message, "type": "new_api_error", "code": code}}
}

func writeJSON(w http.ResponseWriter, answer any) {
	// The client is gone where writing fails.
	_ = json.NewEncoder(w).Encode(answer)
}
