#!/usr/bin/env bash
# Runs a build and shows what is built, then the step and the count every 15 s. Silent when nothing is built. The whole
# output goes to a log; when the build fails, its errors are shown.
# Arguments: what is built, a name for the log, the command.
set -eu
shopt -s extglob
source "$(dirname "$0")/follow.sh"
what=$1 log=.build/$2.log
shift 2
step='' begun=$SECONDS
on_line() {
  # Other steps, such as "Write sources" and "Compiling plugin", are taken when nothing is to be built, too.
  [[ $1 == \[*\]\ @(Compiling\ !(plugin*)|Linking|Emitting)* ]] || return 0
  [ -n "$step" ] || echo "$what"
  step=$1
}
on_tick() { [ -z "$step" ] || clock "$step"; }
status=0
follow "$log" "$@" || status=$?
if [ "$status" -ne 0 ]; then
  # Progress is of no use any more; the compiler's messages are.
  grep -vE '^\[[0-9]+/[0-9]+\] ' "$log" | tail -n 60 >&2
  echo "error: $* failed; the whole output is in $log" >&2
fi
exit "$status"
