package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestASecretIsShownNowhere(t *testing.T) {
	settings := Settings{ReceiptKey: "hush-hush-hush-hush-hush-hush-hush"}
	encoded, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", settings, settings, settings, settings.ReceiptKey), string(encoded)} {
		if strings.Contains(text, "hush") || !strings.Contains(text, "***") {
			t.Errorf("shown as %s", text)
		}
	}
	t.Chdir(t.TempDir())
	_, _, err = loadHere(t, []string{"--receipt-key=hush-hush"}, nil)
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("a key that is too short: %v", err)
	}
}
