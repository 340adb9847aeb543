#!/usr/bin/env bash
# Runs a test command; shows its suites, its failures and the accuracy it prints, not every case. The whole output
# stays in .build/test.log.
set -u -o pipefail
mkdir -p .build
# Tests run side by side; threads of oneDNN that wait for work by spinning would take the processors from them.
export OMP_WAIT_POLICY=passive
"$@" 2>&1 | tee .build/test.log | awk '
  /^✔ Suite / || /RMS error/ { print "  " $0; fflush(); next }
  /^✘/ || /^↳/ || /error:/ || /Test run with/ || /warning: .*Sources/ { print; fflush() }'
status=${PIPESTATUS[0]}
[ "$status" -eq 0 ] || echo "the whole output is in .build/test.log" >&2
exit "$status"
