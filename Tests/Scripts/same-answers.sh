#!/usr/bin/env bash
# Runs two builds of decant on the same inputs and compares their results. Exits with 1 when a result differs.
#
#   Tests/Scripts/same-answers.sh [OPTION…] OLD NEW
#   Tests/Scripts/same-answers.sh --self-test DECANT
#
#   --quick          Run only fixtures/ with default options, which takes a minute or two.
#   --only REGEX     Run only commands that match.
#   --texts          Compare text output too, except times.
#   --accept FILE    Accept intended differences: extended regular expressions, one per line, each matched against the
#                    lines of report.txt: the difference, the command, its kind, the values. A line that begins with #
#                    is a comment that names the entry in CHANGELOG.md.
#   --timeout N      The seconds that a command may take (default 120).
#   --self-test      Break DECANT in every way that must be detected, and check that it is.
#
# It compares the exit code, the kind of standard output (JSON, text or nothing), whether standard error is empty, every
# JSON value that is not a sentence or a time (`unstable` below), and the SHA-256 of every file written.
# same-answers-cases.sh lists the commands. The results of OLD are cached in .build/same-answers.
set -eu -o pipefail
shopt -s nullglob
export LC_ALL=C
script=$(realpath "$0")
root=$(cd "$(dirname "$script")/../.." && pwd)
corpus=$root/../shared/checkpoints
state=${SAME_ANSWERS_STATE:-$root/.build/same-answers}
# JSON keys whose values may change: sentences and measured times.
unstable='["reason", "what", "source", "remedy", "warnings", "message", "median_ms"]'
# As in test.sh: threads that wait by spinning would take processor time from the other worker.
export OMP_WAIT_POLICY=passive

# --- Running -------------------------------------------------------------------------------------------------------

# Runs lines FIRST to LAST of the list in one folder, which is emptied between commands unless they belong to one
# document.
# For line N, writes the streams to N.out and N.err, and the compared values to N.meta as "name <tab> value" lines.
run_lines() { # RESULTS SECONDS FIRST LAST
  local results=$1 seconds=$2 number=$3 folder kind mode command status stream character written
  export PATH=$results/bin:$PATH
  folder=$(mktemp -d "$results/folder.XXXXXX")
  cd "$folder"
  cp -P "$state/links/"* .
  GLOBIGNORE=fixtures:checkpoints # what `*` leaves out below; it then takes hidden files in
  while IFS=$'\t' read -r kind mode command; do
    status=0
    timeout -k 5 "$seconds" sh -c "$command" </dev/null >"$results/$number.out" 2>"$results/$number.err" || status=$?
    if [ $status -eq 124 ] || [ $status -eq 137 ]; then status="timed out"; fi
    stream=nothing
    if read -r -N 1 character <"$results/$number.out"; then
      if [ "$character" = "{" ]; then stream=JSON; else stream=text; fi
    fi
    written=(*)
    {
      printf 'exit\t%s\nstandard output\t%s\n' "$status" "$stream"
      if [ -s "$results/$number.err" ]; then printf 'standard error\ttext\n'; else printf 'standard error\tnothing\n'; fi
      if [ ${#written[@]} -gt 0 ]; then
        find . -type f -newermt 2000-01-01 -printf '%P\0' | sort -z | xargs -0r sha256sum |
          sed -E 's/^([0-9a-f]+)  (.*)$/file \2\t\1/'
      fi
    } >"$results/$number.meta"
    if [ ${#written[@]} -gt 0 ]; then
      case $kind in
      README | GUIDE) find . -type f -exec touch -d 1999-01-01 {} + ;; # to tell the next command's files apart
      *) rm -rf "${written[@]}" ;;
      esac
    fi
    number=$((number + 1))
  done < <(sed -n "$3,$4p" "$state/cases")
  rm -rf "$folder"
}

# Runs every line of the list with one binary, in groups of 20 lines; the lines of a document stay together.
run_all() { # BINARY RESULTS
  rm -rf "$2"
  mkdir -p "$2/bin"
  ln -s "$1" "$2/bin/decant"
  awk -F '\t' '
    { document = $1 ~ /^(README|GUIDE)$/ ? $1 : "" }
    NR == 1 || document != last || !document && NR == first + 20 { if (NR > 1) print first, NR - 1; first = NR }
    { last = document }
    END { print first, NR }' "$state/cases" |
    xargs -P "$(nproc)" -L 1 "$script" --run-lines "$2" "$seconds"
  if [ "$(find "$2" -name '*.meta' | wc -l)" -ne "$(wc -l <"$state/cases")" ]; then
    echo "not every command was run: is the disk full?" >&2
    exit 2
  fi
}

# --- Comparing -----------------------------------------------------------------------------------------------------

# Prints the JSON of a file as "path <tab> value" lines. Unstable values become an ellipsis.
leaves() { # FILE
  jq -r -s --argjson unstable "$unstable" '
    def masked: if type == "array" then map(masked) elif type == "object" then . else "…" end;
    if length == 1 then .[0] else . end
    | walk(if type == "object" and keys == ["text"] then .text |= masked  # a sentence of SARIF
      elif type == "object" then with_entries(if .key | IN($unstable[]) then .value |= masked else . end) else . end)
    | tostream | select(length == 2)
    | (.[0] | map(if type == "number" then "[\(.)]" elif test("^\\w+$") then ".\(.)" else ".\(tojson)" end) | join(""))
      + "\t" + (.[1] | tojson)' "$1"
}

# Prints a text with its times replaced by TIME.
timeless() { sed -E 's/[0-9]+(\.[0-9]+)? ?(m?s|µs|min)\b/TIME/g' "$1"; }

# Compares two files of "name <tab> value" lines and prints each difference: name, old value, new value.
by_name() { # OLD NEW
  awk -F '\t' '
    FILENAME == ARGV[1] { old[$1] = $2; next }
    !($1 in old) { print $1 "\t(absent)\t" $2; next }
    { if (old[$1] != $2) print $1 "\t" old[$1] "\t" $2; delete old[$1] }
    END { for (name in old) print name "\t" old[name] "\t(absent)" }' "$1" "$2" | sort
}

# Prints the differences for one line of the list: its number, what differs, and the two values.
compare_line() { # OLD NEW NUMBER STREAMS
  local old=$1/$3 new=$2/$3 stream suffix
  {
    by_name "$old.meta" "$new.meta" | awk -F '\t' '
      /^file/ { print $1 ": " ($2 == "(absent)" ? "only NEW writes it" : $3 == "(absent)" ? "only OLD writes it" : "other bytes"); next }
      { print $1 ": " $2 " -> " $3 }'
    if ! cmp -s "$old.out" "$new.out" && [ "$(grep -h '^standard output' "$old.meta" "$new.meta" | grep -c 'JSON$')" -eq 2 ]; then
      if leaves "$old.out" >"$new.leaves-old" 2>/dev/null && leaves "$new.out" >"$new.leaves" 2>/dev/null; then
        by_name "$new.leaves-old" "$new.leaves" | awk -F '\t' '
          { path = $1; gsub(/\[[0-9]+\]/, "[]", path)
            change = $2 == "(absent)" ? "added" : $3 == "(absent)" ? "removed" : "changed"
            if (!seen[path, change]++) print "JSON " path ": " change "\t" $1 ": " substr($2, 1, 80) " -> " substr($3, 1, 80) }'
      else
        echo "JSON: cannot be read, and differs"
      fi
      rm -f "$new.leaves-old" "$new.leaves"
    fi
    if [ "$4" = texts ]; then
      while read -r suffix stream; do
        diff <(timeless "$old.$suffix") <(timeless "$new.$suffix") | grep -a '^[<>]' | head -n 4 | cut -c 1-120 |
          tr '\t\n' '  ' | sed "s/^/$stream: other text\t/; s/\$/\n/" || true
      done < <(grep -hq 'JSON$' "$old.meta" "$new.meta" || echo "out standard output"; echo "err standard error")
    fi
  } | sed "s/^/$3\t/"
}

# Compares every line and writes report.txt: the difference, the command, its kind and the two values, separated by
# tabs.
compare_all() { # OLD NEW TEXTS
  { diff -rq "$1" "$2" || true; } | sed -nE 's@^Files .*/([0-9]+)\.(meta|out|err) differ$@\1 \2@p' >"$state/changed"
  # Uncompared text output also differs, often in a time. Only JSON is examined further.
  { grep -rl $'^standard output\tJSON' --include '*.meta' "$2" || true; } | sed -E 's@.*/([0-9]+)\.meta@\1@' >"$state/json"
  awk -v texts="$3" 'FILENAME == ARGV[1] { isJSON[$1]; next } texts || $2 == "meta" || $2 == "out" && $1 in isJSON { print $1 }' \
    "$state/json" "$state/changed" | sort -nu |
    xargs -P "$(nproc)" -I '{}' "$script" --compare-line "$1" "$2" '{}' "$3" | sort -n |
    awk -F '\t' '
      FILENAME == ARGV[1] { kind[FNR] = $1; command[FNR] = $3; next }
      { print $2 "\t" command[$1] "\t" kind[$1] "\t" $3 }' "$state/cases" - >"$state/report.txt"
}

# --- Reporting -----------------------------------------------------------------------------------------------------

# Prints how many differences each expression of a file accepts, and writes the others to remaining.txt.
accept() { # FILE
  local expression
  grep -vE '^(#|$)' "$1" >"$state/expressions" || true
  while IFS= read -r expression; do
    echo "accepted: $(grep -cE -e "$expression" "$state/report.txt" || true) by $expression"
  done <"$state/expressions"
  grep -vE -f "$state/expressions" "$state/report.txt" >"$state/remaining.txt" || true
}

show_differences() { # OLD NEW
  local what count
  echo "What differs, and the first command where it does; all are in $state/report.txt."
  echo "To repeat a command: make a folder with the links of $state/links, and there put $1/bin or $2/bin first in PATH."
  cut -f 1 "$state/remaining.txt" | sort | uniq -c | sort -rn >"$state/counts"
  head -n 50 "$state/counts" | while read -r count what; do
    echo
    echo "$what  (of $count invocations)"
    awk -F '\t' -v what="$what" '$1 == what { print "  $ " $2; if ($4) print "  " $4; exit }' "$state/remaining.txt"
  done
  if [ "$(wc -l <"$state/counts")" -gt 50 ]; then echo; echo "… and $(($(wc -l <"$state/counts") - 50)) more"; fi
  echo
}

summarize() { # OLD NEW
  { grep -l $'^exit\ttimed out' -r "$1" "$2" --include '*.meta' || true; } | while read -r file; do
    echo "timed out after $seconds s: $(sed -n "$(basename "$file" .meta)p" "$state/cases" | cut -f 3)  ($(dirname "$file"))"
  done
  awk -F '\t' '
    FILENAME == ARGV[1] { runs[$1]++; next }
    FILENAME == ARGV[2] { all[$3]++; next }
    { left[$3]++ }
    END { for (kind in runs) printf "%s: %d invocations, %d differences%s\n", kind, runs[kind], left[kind],
            (all[kind] > left[kind] ? " and " all[kind] - left[kind] " accepted" : "") }' \
    "$state/cases" "$state/report.txt" "$state/remaining.txt" | sort
}

compare_binaries() { # OLD NEW
  local old new key answers
  command -v jq >/dev/null || { echo "jq is missing: Tests/Scripts/install-packages.sh jq" >&2; exit 2; }
  old=$(realpath -e "$1")
  new=$(realpath -e "$2")
  mkdir -p "$state"
  exec 9>"$state/lock"
  flock -n 9 || { echo "another run uses $state" >&2; exit 2; }
  rm -rf "$state/links" && mkdir "$state/links"
  ln -s "$root/fixtures" "$state/links/fixtures"
  if [ -d "$corpus" ]; then
    ln -s "$(realpath "$corpus")" "$state/links/checkpoints"
  else
    echo "$corpus is absent: only fixtures/ and the documents are compared"
  fi
  "$root/Tests/Scripts/same-answers-cases.sh" "$state/links" |
    awk -F '\t' -v mode="${mode%-some}" 'mode == "full" || $2 == mode' | { grep -E -e "$only" || true; } >"$state/cases"
  # The cached results of OLD depend on the binary, the commands, this script and every input.
  key=$({ cat "$old" "$script" "$state/cases"; find -L "$state/links" -type f -print0 | sort -z | xargs -0 cat; } | sha256sum)
  answers=$state/old-$mode
  if [ "$key" != "$(cat "$answers/key" 2>/dev/null)" ]; then
    echo "running $(wc -l <"$state/cases") command lines with OLD, $1"
    run_all "$old" "$answers"
    echo "$key" >"$answers/key"
  fi
  echo "running $(wc -l <"$state/cases") command lines with NEW, $2"
  run_all "$new" "$state/new"
  compare_all "$answers" "$state/new" "$texts"
  accept "$accepted"
  if [ -s "$state/remaining.txt" ]; then show_differences "$answers" "$state/new"; fi
  summarize "$answers" "$state/new"
  [ ! -s "$state/remaining.txt" ]
}

# --- Checking this script ------------------------------------------------------------------------------------------

# Compares DECANT with a wrapper, a line of bash in which "$real" is DECANT. Checks the exit code and one message.
expect() { # STATUS MESSAGE WRAPPER OPTION…
  local output status=0
  printf '#!/usr/bin/env bash\nset -o pipefail\nreal=%q\n%s\n' "$real" "$3" >"$SAME_ANSWERS_STATE/wrapper"
  chmod +x "$SAME_ANSWERS_STATE/wrapper"
  output=$("$script" --timeout 2 --only "$chosen" "${@:4}" "$real" "$SAME_ANSWERS_STATE/wrapper" 2>&1) || status=$?
  if [ "$status" -ne "$1" ] || ! grep -qF -e "$2" <<<"$output"; then
    printf '%s\nfailed: exit %s, expected %s and "%s" of: %s\n' "$output" "$status" "$1" "$2" "$3" >&2
    exit 1
  fi
  echo "as expected, exit $1 and \"$2\" of: $3"
}

self_test() { # DECANT
  local real chosen
  real=$(realpath -e "$1")
  chosen='fixtures/torch/(tensor.pth (--json --digest|--tree|out.npz)|module.pth --json)$'
  SAME_ANSWERS_STATE=$(mktemp -d)
  export SAME_ANSWERS_STATE
  trap 'rm -rf "$SAME_ANSWERS_STATE"' EXIT
  expect 0 'convert: 1 invocations, 0 differences' 'exec "$real" "$@"'
  expect 1 'exit: 0 -> 3' '"$real" "$@"; exit 3'
  expect 1 'exit: 0 -> 139' 'kill -SEGV $$'
  expect 1 'exit: 0 -> timed out' 'sleep 60'
  expect 1 'standard output: JSON -> nothing' '"$real" "$@" >&2'
  expect 1 'standard output: nothing -> text' '"$real" "$@"; echo done'
  expect 1 'standard error: nothing -> text' '"$real" "$@"; echo done >&2'
  expect 1 'file out.npz: other bytes' '"$real" "$@"; if [ -e out.npz ]; then truncate -s -1 out.npz; fi'
  expect 1 'file out.npz: only OLD writes it' '"$real" "$@"; rm -f out.npz'
  expect 1 'file .out.npz.123: only NEW writes it' '"$real" "$@"; echo > .out.npz.123'
  expect 1 'JSON .tensors[].dtype: changed' '"$real" "$@" | sed "s/float32/float64/"'
  expect 1 'JSON .files[].verdict: removed' '"$real" "$@" | sed "s/\"verdict\"/\"opinion\"/"'
  expect 1 'JSON: cannot be read, and differs' '"$real" "$@"; case "$*" in *--json*) echo "}" ;; esac'
  expect 0 'scan: 1 invocations, 0 differences' '"$real" "$@" | sed "s/\"what\": \"/&In other words: /"'
  expect 0 'inspect: 2 invocations, 0 differences' '"$real" "$@" | sed "s/ tensor / array /"'
  expect 1 'standard output: other text' '"$real" "$@" | sed "s/tensor/array/"' --texts
  printf '# Changed: other exit codes\n^exit: [0-9]+ -> 3\n^nothing\n' >"$SAME_ANSWERS_STATE/accepted"
  expect 0 'accepted: 0 by ^nothing' '"$real" "$@"; exit 3' --accept "$SAME_ANSWERS_STATE/accepted"
}

# --- The command line ----------------------------------------------------------------------------------------------

mode=full only= texts= accepted=/dev/null seconds=120
case ${1-} in
--run-lines) shift; run_lines "$@"; exit ;;
--compare-line) shift; compare_line "$@"; exit ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
  --quick) mode=quick; shift ;;
  --texts) texts=texts; shift ;;
  --only) only=$2; shift 2 ;;
  --accept) accepted=$2; shift 2 ;;
  --timeout) seconds=$2; shift 2 ;;
  --self-test) self_test "$2"; exit ;;
  -*) echo "unknown option $1; the head of $script lists them" >&2; exit 64 ;;
  *) break ;;
  esac
done
if [ -n "$only" ]; then mode+=-some; fi
if [ $# -ne 2 ]; then sed -n '3,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$script" >&2; exit 64; fi
compare_binaries "$1" "$2"
