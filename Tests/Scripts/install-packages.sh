#!/usr/bin/env bash
# Installs the Debian packages named as arguments that are not there yet; says which, and how it failed.
set -u
missing=()
for package in "$@"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "packages are installed: $*"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "these packages are missing and there is no apt-get to install them: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "these packages are missing and installing needs root or sudo: ${missing[*]}" >&2
    echo "as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "installing ${missing[*]} failed at: ${as_root[*]} $*" >&2
    exit 1
  fi
}
run apt-get update
run apt-get install -y --no-install-recommends "${missing[@]}"
