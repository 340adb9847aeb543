#!/usr/bin/env bash
# Fetches the dependencies in Package.swift with SwiftPM and a time limit: git alone can wait forever or ask for
# passwords.
# Prints nothing when they are present. Arguments: the scratch folder, the swift command.
set -eu
scratch=$1 swift=$2 limit=120
[ ! -d "$scratch/checkouts/swift-argument-parser" ] || exit 0
mkdir -p .build
log=.build/dependencies.log
export GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=15
export GIT_SSH_COMMAND="ssh -o BatchMode=yes -o ConnectTimeout=20"
echo "fetching swift-argument-parser"
status=0
timeout --kill-after 10 "$limit" "$swift" package --scratch-path "$scratch" resolve </dev/null >"$log" 2>&1 || status=$?
[ "$status" -ne 0 ] || exit 0
reason=$(grep -m 1 'fatal: ' "$log") || reason=$(grep -m 1 'error: ' "$log") || reason="see $log"
[ "$status" -ne 124 ] || reason="no answer within $limit s"
echo "error: git cannot fetch https://github.com/apple/swift-argument-parser: ${reason#*fatal: }" >&2
exit 1
