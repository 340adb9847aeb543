#!/usr/bin/env bash
# Installs the Debian packages named as arguments that are missing. Prints nothing when all are installed. On failure,
# one
# sentence lists the missing packages and the reason. The output of apt-get goes to .build/packages.log.
# SKIP_PACKAGES=1 skips the check, for machines on which nothing may be installed.
set -eu
[ -z "${SKIP_PACKAGES:-}" ] || exit 0
if ! command -v dpkg-query >/dev/null; then
  echo "note: this is not Debian, so these packages were not looked for: $*" >&2
  exit 0
fi
here=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null) || true
missing=()
for package in "$@"; do
  grep -qx "ii *$package" <<<"$here" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

fail() {
  echo "error: $1; not installed: ${missing[*]}" >&2
  exit 1
}
command -v apt-get >/dev/null || fail "there is no apt-get"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null ||
    fail "installing packages needs root or sudo, and there is neither (SKIP_PACKAGES=1 tries without them)"
  # Ask for the password now, before output goes to a log. Without a terminal, sudo cannot ask.
  if [ -t 0 ]; then sudo -v || fail "sudo refused"; else sudo -n true 2>/dev/null || fail "sudo wants a password"; fi
  as_root=(sudo)
fi

# An unresponsive mirror is given up after two attempts of 10 s each, the command after its own limit. DEBIAN_FRONTEND
# and
# the closed input keep packages from asking questions.
source "$(dirname "$0")/follow.sh"
log=.build/packages.log begun=$SECONDS
on_line() { :; }
on_tick() { clock "$(grep -v '^ *$' "$log" | tail -n 1 | cut -c 1-100)"; }
apt() {
  local status=0
  follow "$log" "${as_root[@]}" timeout --kill-after 10 "$1" env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q \
    -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 -o Acquire::Retries=1 -o DPkg::Lock::Timeout=60 \
    "${@:2}" || status=$?
  [ "$status" -ne 0 ] || return 0
  reason=$(grep -m 1 '^E: ' "$log") || reason=$(grep -m 1 '^W: ' "$log") || reason="E: status $status, see $log"
  reason=${reason:3}
  reason=${reason//  / }
  [ "$status" -ne 124 ] || reason="not finished after $1 s"
  return 1
}
echo "installing from Debian: ${missing[*]}"
# Without Error-Mode, apt-get succeeds even when it could not fetch anything.
if ! apt 300 update -o APT::Update::Error-Mode=any; then
  # One of several sources may be unavailable and not be needed.
  grep -qE '^(Get|Hit):' "$log" || fail "apt-get update failed: $reason"
fi
apt 1200 install -y --no-install-recommends "${missing[@]}" || fail "apt-get install failed: $reason"
