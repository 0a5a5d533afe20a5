#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given, one after the other.
#
# Go 1.26 ends a target with "context deadline exceeded" now and then when its
# time is up (https://go.dev/issue/75804, fixed in 1.27). That alone, without a
# failing input, is the end of the time and no finding.
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${1:?usage: tools/fuzz.sh 60s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

targets=$(grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | sort)
[ -n "$targets" ] || { echo "weir: no fuzz target found" >&2; exit 1; }
for file in $targets; do
	for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$file"); do
		echo "fuzz: $target in $(dirname "$file") for $fuzztime"
		if go test -run='^$' -fuzz="^$target\$" -fuzztime="$fuzztime" "$(dirname "$file")" >"$log" 2>&1; then
			tail -n 3 "$log"
		elif grep -q '^ *context deadline exceeded$' "$log" && ! grep -qE 'Failing input|panic|fatal error|Errorf?:|_test\.go:' "$log"; then
			echo "fuzz: $target reached its time"
		else
			cat "$log"
			exit 1
		fi
	done
done
