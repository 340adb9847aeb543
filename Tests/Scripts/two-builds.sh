#!/usr/bin/env bash
# Builds the tool twice from scratch and checks that both binaries have the same bytes. Argument: the build command.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for number in 1 2; do
  # Use the same folder, since the binary contains paths.
  rm -rf "$folder/clone"
  git clone -q . "$folder/clone"
  (cd "$folder/clone" && "$@" >/dev/null)
  cp "$folder/clone/.build/release/decant" "$folder/decant.$number"
done
sha256sum "$folder"/decant.? | sed "s|$folder/||"
cmp "$folder/decant.1" "$folder/decant.2"
