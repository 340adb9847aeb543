#!/usr/bin/env bash
# Writes the documentation of the library, DecantKit with the modules it re-exports, to .build/docs. Fails on DocC
# warnings
# and when a main type is missing. Argument: the swift command.
set -eu
swift=$1
tools=$(dirname "$(readlink -f "$(command -v "$swift")")")
folder=.build/docs
modules=$(sed -n 's/^@_exported public import //p' Sources/DecantKit/DecantKit.swift | paste -sd,)
rm -rf "$folder" && mkdir -p "$folder/symbols"
# Without this option, the symbol graph of DecantKit lacks the symbols it re-exports.
"$tools/swift-symbolgraph-extract" -module-name DecantKit -I .build/release/Modules \
  -experimental-allowed-reexported-modules="$modules" -minimum-access-level public \
  -target "$("$swift" -print-target-info | sed -n 's/.*"triple" *: *"\(.*\)".*/\1/p' | head -n 1)" \
  $(find Sources -name module.modulemap -printf '-Xcc -fmodule-map-file=%p ') \
  $(find .build/release/ -path "*/C*.build/module.modulemap" -printf '-Xcc -fmodule-map-file=%p ') \
  $(find Sources -maxdepth 2 -name include -printf '-Xcc -I%p ') \
  -output-dir "$folder/symbols"
"$tools/docc" convert --additional-symbol-graph-dir "$folder/symbols" --fallback-display-name DecantKit \
  --fallback-bundle-identifier decant.DecantKit --output-path "$folder/DecantKit.doccarchive" --warnings-as-errors
for type in Tensor Checkpoint StateDict ResNet DecantError CheckpointScanner; do
  find "$folder/DecantKit.doccarchive/data" -iname "$type.json" | grep -q . ||
    { echo "error: $type is not in the documentation" >&2 && exit 1; }
done
echo "the documentation is in $folder/DecantKit.doccarchive"
