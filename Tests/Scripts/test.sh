#!/usr/bin/env bash
# Builds and runs the tests. Shows the build steps, then suites, failures and measured accuracy as they appear, the
# skipped
# tests with reasons, and the number of tests. The whole output goes to .build/test.log. Argument: the test command.
set -eu
shopt -s extglob
source "$(dirname "$0")/follow.sh"
log=.build/test.log
# Tests run in parallel. Threads of oneDNN that wait by spinning would take processor time from them.
export OMP_WAIT_POLICY=passive

passed=0 failed=0 finished='' step='' begun=$SECONDS
declare -A skipped=()
on_line() {
  local line=$1 reason
  case $line in
    # Plugins are also compiled when everything is up to date.
    \[*\]' Compiling plugin '*) ;;
    \[*\]' '@(Compiling|Linking|Emitting)*)
      [ -n "$step" ] || echo "building the tests in release (about 5 minutes from nothing on two processors)"
      step=$line
      ;;
    '◇ Test run started.'*)
      echo "running the tests"
      step='' begun=$SECONDS
      ;;
    # Durations are left out, since suites run in parallel and end together.
    '✔ Suite '*) echo "  ${line%% passed after *}" ;;
    '✘ Suite '*) ;;
    *[✔✘]' Test run with '*)
      finished=${line#*Test run with }
      finished=${finished%% test*}
      ;;
    '✔ Test '*) passed=$((passed + 1)) ;;
    '✘ Test '*' failed after '*) failed=$((failed + 1)) && echo "${line%% failed after *} failed" ;;
    '✘ '*) echo "$line" ;;
    '➜ Test '*' skipped'*)
      reason=${line##* skipped}
      reason=${reason#*\"}
      reason=${reason%\"*}
      skipped[${reason:-no reason given}]=$((${skipped[${reason:-no reason given}]:-0} + 1))
      ;;
    '↳ Testing Library Version'* | '↳ Target Platform'* | '↳ ///'*) ;;
    '↳ '* | *error:* | *'RMS error'*) echo "  $line" ;;
  esac
}
on_tick() {
  if [ -n "$step" ]; then
    clock "$step"
  elif [ $((passed + failed)) -gt 0 ]; then
    clock "$((passed + failed)) tests ran"
  fi
}
status=0
follow "$log" "$@" || status=$?
for reason in "${!skipped[@]}"; do
  echo "${skipped[$reason]} skipped: $reason"
  finished=${finished:+$((finished - ${skipped[$reason]}))}
done
# Use the total, which includes skipped tests: a result line that other output was mixed into was not counted above.
[ -z "$finished" ] || echo "$((finished - failed)) passed, $failed failed"
if [ "$status" -ne 0 ]; then
  # Without a result the build failed or the tests crashed. The end of the output shows the reason.
  [ -n "$finished" ] || grep -vE '^\[[0-9]+/[0-9]+\] |^[✔◇]' "$log" | tail -n 60 >&2
  echo "error: $* failed; the whole output is in $log" >&2
fi
exit "$status"
