#!/usr/bin/env bash
# Fuzzes one target. Arguments: the target, and the duration in seconds.
#
# The seeds are links to the files of fixtures/ and ../shared/checkpoints with the target's first bytes.
# libFuzzer keeps its corpus in .build/fuzz/corpus, so a later run continues from this one.
set -u
target=$1
seconds=$2
cd "$(dirname "$0")/../.."
binary=${FUZZER:-.build/fuzz/release/decant-fuzz}
seeds=.build/fuzz/seeds/$target
corpus=.build/fuzz/corpus/$target
found=.build/fuzz/found/$target
log=.build/fuzz/log/$target
real=${DECANT_CORPUS:-../shared/checkpoints}
table=.build/fuzz/runs.tsv
rm -rf "$seeds"
mkdir -p "$seeds" "$corpus" "$found" "$(dirname "$log")"

# Per target: extended regular expressions for a file's first bytes in hexadecimal and for its name, and the
# dictionaries.
case $target in
  pickle) begins='80 0[0-5] ' names='.*\.(pkl|pickle)' words='pickle' ;;
  zip) begins='50 4b 0[35] 0[46] ' names='' words='zip pickle' ;;
  safetensors) begins='.{24}7b ' names='' words='safetensors' ;;
  legacy) begins='80 0[0-5] 8a 0a 6c fc 9c 46 ' names='' words='legacy pickle' ;;
  tar) begins='.{771}75 73 74 61 72 ' names='' words='tar pickle' ;;
  gguf) begins='47 47 55 46 ' names='' words='gguf' ;;
  npy) begins='93 4e 55 4d 50 59 ' names='' words='npy pickle' ;;
  model) begins='08 ' names='.*\.(onnx|mlmodel)' words='model' ;;
  folder) begins='none' names='' words='folder pickle safetensors' ;;
  ranks) begins='none' names='' words='zip pickle' ;;
  scan) begins='' names='' words='pickle zip tar' ;;
  evidence) begins='none' names='.*\.(json|ya?ml|py)' words='evidence' ;;
  image) begins='(89 50 4e 47|ff d8 ff) ' names='' words='image' ;;
  *) echo "no such target: $target" >&2 && exit 64 ;;
esac

number=0
while IFS= read -r -d '' file; do
  head=$(od -An -v -tx1 -N 262 "$file" | tr -d '\n')
  if [[ "${head# } " =~ ^$begins || (-n $names && $file =~ ^$names$) ]]; then
    ln -s "$(realpath "$file")" "$seeds/$((number++))"
  fi
done < <(find -L fixtures "$real" -type f -size -64k -print0 2>/dev/null)
# The files of a folder become one input, a tar archive that the target extracts.
if [ "$target" = folder ]; then
  while IFS= read -r -d '' file; do
    tar --format=ustar -b 1 -C "$(dirname "$file")" -cf "$seeds/$((number++))" --exclude='./*/*' .
  done < <(find -L fixtures "$real" -type f '(' -name '*.metadata' -o -name '*.index.json' ')' -print0 2>/dev/null)
fi
# The ranks' files of a run, likewise. Those of fixtures/ have at most 64 KB together.
if [ "$target" = ranks ]; then
  for folder in fixtures/folders/ranks fixtures/folders/sharded_tensors; do
    tar --format=ustar -b 1 -C "$folder" -cf "$seeds/$((number++))" --exclude='./*/*' .
  done
fi
if [ -d "fixtures/crashes/$target" ]; then
  for file in "fixtures/crashes/$target"/*; do ln -s "$(realpath "$file")" "$seeds/$((number++))"; done
fi

for word in $words; do cat "Tests/Fuzzing/dictionaries/$word.dict"; done >"$corpus.dict"

# A small quarantine, so that the memory limit of 512 MB measures the reader and not the sanitizer.
# Hostile inputs must stay under 1 s and 200 MB in the release build, which is about five times faster and smaller.
SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=quarantine_size_mb=16:malloc_context_size=8 DECANT_FUZZ=$target \
  nice -n 10 "$binary" -max_total_time="$seconds" -timeout=5 -report_slow_units=2 -rss_limit_mb=512 -malloc_limit_mb=256 \
  -max_len=65536 -print_final_stats=1 -dict="$corpus.dict" -artifact_prefix="$found/" "$corpus" "$seeds" \
  >"$log" 2>&1
status=$?
executions=$(awk '/^stat::number_of_executed_units/ { print $2 }' "$log")
edges=$(grep -a -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d ' ' -f 2)
[ -e "$table" ] || printf 'target\tseconds\texecutions\tedges\tinputs kept\tresult\n' >"$table"
result=$([ $status -eq 0 ] && echo quiet || echo "status $status")
printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$target" "$seconds" "${executions:-?}" "${edges:-?}" \
  "$(find "$corpus" -type f | wc -l)" "$result" | tee -a "$table"
if [ $status -ne 0 ]; then
  grep -a -E 'ERROR|SUMMARY|Fatal error|Test unit written' "$log" >&2
  echo "see $log; again: DECANT_FUZZ=$target $binary FILE; smaller: add -minimize_crash=1 -runs=10000" >&2
fi
exit $status
