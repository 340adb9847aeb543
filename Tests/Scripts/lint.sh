#!/usr/bin/env bash
# Checks that the Swift sources are formatted, and that every C shim compiles without a warning here and for 64-bit ARM.
# Argument: swift.
set -eu
cd "$(dirname "$0")/../.."
"$1" format lint --strict --recursive --parallel Sources Tests Package.swift
tools=$(dirname "$(readlink -f "$(command -v "$1")")")
arm=(--target=aarch64-linux-gnu -nostdinc -isystem "$("$tools/clang" -print-resource-dir)/include"
  -isystem /usr/aarch64-linux-gnu/include)
for source in Sources/C*/*.c; do
  check=("$tools/clang" -fsyntax-only -Wall -Wextra -Werror -I "$(dirname "$source")/include" "$source")
  "${check[@]}"
  "${check[@]}" "${arm[@]}"
done
