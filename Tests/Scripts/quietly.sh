#!/usr/bin/env bash
# Runs a command; shows what it printed only when it fails. KEEP_OUTPUT=1 shows it as it comes.
set -u
if [ -n "${KEEP_OUTPUT:-}" ]; then exec "$@"; fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" >"$log" 2>&1
status=$?
[ $status -eq 0 ] || { cat "$log" >&2; echo "failed: $*" >&2; }
exit $status
