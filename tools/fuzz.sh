#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other: each for a time (60s), or all
# together for one (300s/all), of which each has the same share of what is left.
#
# Go 1.26 ends a target with "context deadline exceeded" now and then when its
# time is up (https://go.dev/issue/75804, fixed in 1.27). That alone, without a
# failing input, is the end of the time and no finding.
set -euo pipefail
cd "$(dirname "$0")/.."
usage="usage: tools/fuzz.sh 60s, for each target, or tools/fuzz.sh 300s/all"
fuzztime=${1:?$usage}
total=
if [[ $fuzztime == */all ]]; then
	total=${fuzztime%s/all}
	[[ $total =~ ^[0-9]+$ ]] || { echo "weir: $usage" >&2; exit 1; }
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT

mapfile -t targets < <(grep -roE --include='*_test.go' '^func Fuzz[A-Z][A-Za-z0-9_]*' . | sed 's/:func /:/' | sort)
left=${#targets[@]}
[ "$left" -gt 0 ] || { echo "weir: no fuzz target found" >&2; exit 1; }
for place in "${targets[@]}"; do
	dir=$(dirname "${place%%:*}") target=${place##*:}
	if [ -n "$total" ]; then
		share=$(((total - SECONDS) / left)) # building is part of it
		fuzztime=$((share > 1 ? share : 1))s
	fi
	left=$((left - 1))
	echo "fuzz: $target in $dir for $fuzztime"
	if go test -run='^$' -fuzz="^$target\$" -fuzztime="$fuzztime" "$dir" >"$log" 2>&1; then
		tail -n 3 "$log"
	elif grep -q '^ *context deadline exceeded$' "$log" && ! grep -qE 'Failing input|panic|fatal error|Errorf?:|_test\.go:' "$log"; then
		echo "fuzz: $target reached its time"
	else
		cat "$log"
		exit 1
	fi
done
