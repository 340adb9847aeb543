#!/usr/bin/env bash
# Runs the checks that take too long for `make test` and writes docs/PROOFS.md. Arguments: the parts to run, by default
# all.
# The rows of other parts are kept. FUZZING=SECONDS sets how long each reader is fuzzed.
set -eu
cd "$(dirname "$0")/../.."
file=docs/PROOFS.md
wanted=" $* "
rows=() run=0 failed=0
commit=$(git rev-parse --short=12 HEAD)
[ -z "$(git status --porcelain --untracked-files=no -- . ":!$file")" ] || commit+=", changed"
part() {
  local name=$1 begun=$SECONDS result=passed before
  shift
  case $wanted in
    '  ' | *" $name "*) ;;
    *)
      before=$(grep "^| $name |" "$file") && rows+=("$before")
      return 0
      ;;
  esac
  run=1
  echo "── $name: $*"
  "$@" || { result="**failed**" && failed=1; }
  local tenths=$(((SECONDS - begun + 3) / 6))
  rows+=("| $name | \`$*\` | $((tenths / 10)).$((tenths % 10)) | $result | $(date -u +%Y-%m-%d) | $commit |")
  echo "${rows[-1]}"
}

# One line per part: its name, then a command that fails when the check fails.
part bare make bare
part docs make docs
part threads make threads
part fuzz make fuzz DURATION="${FUZZING:-900}"
part builds Tests/Scripts/two-builds.sh make build
part peers-all make peers-all

[ "$run" = 1 ] || { echo "error: there is no part$wanted" >&2 && exit 1; }
cat >"$file" <<TEXT
# Proofs

What takes too long for the gate: \`make proofs\` runs all of it, and \`make proofs PARTS="docs threads"\` some. The last run of
each part, on $(nproc) processors:

| part | command | minutes | result | date | commit |
|---|---|---|---|---|---|
$(printf '%s\n' "${rows[@]}")
TEXT
echo "written: $file"
exit "$failed"
