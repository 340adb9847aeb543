#!/usr/bin/env bash
# Fails at once when Swift is missing or too old, before minutes of installing.
# Argument: the swift command.
set -eu
swift=$1
least=6.3
page=https://www.swift.org/install/linux/
fail() {
  echo "error: $1" >&2
  exit 1
}
command -v "$swift" >/dev/null ||
  fail "$swift is not in PATH: Decant needs Swift $least or later, from $page, with its usr/bin in PATH"
if ! answer=$("$swift" --version 2>&1); then
  # For example, a shared library that the toolchain needs is missing.
  fail "$swift does not start (${answer%%$'\n'*}): install the packages that $page lists"
fi
[[ $answer =~ Swift\ version\ ([0-9]+\.[0-9]+(\.[0-9]+)?) ]] ||
  fail "$swift --version names no version: Decant needs Swift $least or later, from $page"
version=${BASH_REMATCH[1]}
printf '%s\n' "$least" "$version" | sort -CV ||
  fail "this is Swift $version: Decant needs Swift $least or later, from $page"
