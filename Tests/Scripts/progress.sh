#!/usr/bin/env bash
# Runs a build. Shows what is built, then the current step every 15 s. Prints nothing when everything is up to date. The
# whole output goes to a log; when the build fails, its errors are shown.
# Arguments: a description of the build, a name for the log, the command.
set -eu
shopt -s extglob
source "$(dirname "$0")/follow.sh"
what=$1 log=.build/$2.log
shift 2
step='' begun=$SECONDS
on_line() {
  # Other steps, such as "Write sources" and "Compiling plugin", also run when everything is up to date.
  [[ $1 == \[*\]\ @(Compiling\ !(plugin*)|Linking|Emitting)* ]] || return 0
  [ -n "$step" ] || echo "$what"
  step=$1
}
on_tick() { [ -z "$step" ] || clock "$step"; }
status=0
follow "$log" "$@" || status=$?
if [ "$status" -ne 0 ]; then
  # Hide the progress lines, so that only the compiler's messages remain.
  grep -vE '^\[[0-9]+/[0-9]+\] ' "$log" | tail -n 60 >&2
  echo "error: $* failed; the whole output is in $log" >&2
fi
exit "$status"
