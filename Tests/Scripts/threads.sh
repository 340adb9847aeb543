#!/usr/bin/env bash
# Runs the sample program under ThreadSanitizer: many tasks call one network and read one checkpoint.
# Arguments: the swift command, the decant binary.
set -eu
swift=$1 decant=$(readlink -f "$2") root=$PWD
Tests/Scripts/progress.sh "building the sample with ThreadSanitizer (about 4 minutes)" threads \
  "$swift" build -c release --scratch-path .build/threads --sanitize thread --product Sample
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$decant" synthesize resnet50nodown -o resnet50nodown.pth
cp "$root/fixtures/pictures/photo.jpg" .
SAMPLE_JOB=tasks TSAN_OPTIONS=halt_on_error=1 "$root/.build/threads/release/Sample" >sample.log 2>&1 || { tail -n 60 sample.log; exit 1; }
grep -q '^tasks: ' sample.log || { echo "error: the sample did not reach its tasks" >&2; exit 1; }
echo "no data race where many tasks call one network and read one checkpoint"
