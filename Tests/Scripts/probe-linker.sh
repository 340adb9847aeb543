#!/usr/bin/env bash
# Links a program of one line before the long compilation, which would otherwise end in a hundred lines from the linker.
# Prints nothing on success and does not repeat for the same Swift. Arguments: the swift command, the build flags.
set -eu
swift=$1
shift
mkdir -p .build
stamp=.build/linker-works
now="$("$swift" --version 2>&1) $*"
[ "$(cat "$stamp" 2>/dev/null)" != "$now" ] || exit 0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo 'print("linked")' >"$folder/main.swift"
compiler=$(dirname "$(command -v "$swift")")/swiftc
flags=()
for flag in "$@"; do
  case $flag in --static-swift-stdlib) flags+=(-static-stdlib) ;; esac
done
if ! "$compiler" "${flags[@]}" -o "$folder/probe" "$folder/main.swift" >"$folder/log" 2>&1; then
  reason=$(grep -m 1 -iE 'cannot find|unable to find|not found' "$folder/log") ||
    reason=$(grep -m 1 'error: ' "$folder/log") || reason="$compiler fails without a message"
  echo "error: Swift cannot link a program here: $reason" >&2
  echo "On Debian the packages gcc, libc6-dev and libstdc++-12-dev are needed, of the newest gcc that is installed." >&2
  exit 1
fi
[ "$("$folder/probe")" = linked ] || { echo "error: a linked program does not run here" >&2; exit 1; }
echo "$now" >"$stamp"
