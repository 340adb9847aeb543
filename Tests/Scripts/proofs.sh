#!/usr/bin/env bash
# Runs what takes too long for the gate and writes docs/PROOFS.md. Arguments: the parts to run; all without any.
# FUZZING=SECONDS changes how long each reader is fuzzed.
set -eu
cd "$(dirname "$0")/../.."
wanted=" $* "
rows=() failed=0
part() {
  local name=$1 begun=$SECONDS result=passed
  shift
  case $wanted in '  ' | *" $name "*) ;; *) return 0 ;; esac
  echo "── $name: $*"
  "$@" || { result="**failed**" && failed=1; }
  local tenths=$(((SECONDS - begun + 3) / 6))
  rows+=("| $name | \`$*\` | $((tenths / 10)).$((tenths % 10)) | $result |")
  echo "${rows[-1]}"
}

# A line for each part: its name, then the command that fails when the proof does.
part bare make bare
part docs make docs
part threads make threads
part fuzz make fuzz DURATION="${FUZZING:-900}"
part builds Tests/Scripts/two-builds.sh make build
part peers-all make peers-all

[ ${#rows[@]} -gt 0 ] || { echo "error: there is no part$wanted" >&2 && exit 1; }
changed=$(git status --porcelain --untracked-files=no -- . ':!docs/PROOFS.md')
cat >docs/PROOFS.md <<TEXT
# Proofs

What takes too long for the gate, run by \`make proofs\` on $(nproc) processors.

- date: $(date -u +%Y-%m-%d)
- commit: $(git rev-parse HEAD)${changed:+, with changes that are not committed}

| part | command | minutes | result |
|---|---|---|---|
$(printf '%s\n' "${rows[@]}")
TEXT
echo "written: docs/PROOFS.md"
exit "$failed"
