#!/usr/bin/env bash
# Runs `make demo` and `make test` on a bare Debian 12: debootstrap, the packages that swift.org lists for the
# toolchain,
# make, and a clean clone of HEAD. Then tests failures: no network, no root, no Swift, missing libraries. Needs root.
# All
# output also goes to .build/bare.log. BASE=FOLDER uses an existing debootstrap.
set -eu -o pipefail
[ -n "${DECANT_BARE:-}" ] || cd "$(dirname "$0")/../.."
if [ "$(id -u)" -ne 0 ]; then
  echo "error: make bare mounts and changes its root, which only root may" >&2
  exit 1
fi
mkdir -p .build
# All mounts and processes are in namespaces of their own, which end with this script in every case.
if [ -z "${DECANT_BARE:-}" ]; then
  folder=$(mktemp -d /var/tmp/decant-bare.XXXXXX)
  trap 'kill -KILL "$inner" 2>/dev/null || true; wait; rm -rf --one-file-system "$folder"' EXIT
  trap 'exit 130' INT TERM
  # Run a copy: bash reads a script while it runs, and this one may be edited in the meantime.
  cp "$0" "$folder/bare.sh"
  DECANT_BARE=$folder unshare --mount --propagation private --pid --fork --kill-child bash "$folder/bare.sh" \
    > >(tee .build/bare.log) 2>&1 &
  inner=$!
  status=0
  wait "$inner" || status=$?
  exit "$status"
fi
folder=$DECANT_BARE root=$DECANT_BARE/root lean=$DECANT_BARE/lean

say() { printf '\n══ %s\n' "$*"; }
part_begun=$SECONDS timings=() failures=()
part() {
  local tenths=$(((SECONDS - part_begun + 3) / 6))
  timings+=("$1: $((tenths / 10)).$((tenths % 10)) min")
  part_begun=$SECONDS
}
fail() {
  failures+=("$1")
  echo "FAILED: $1"
}

# The packages that the toolchain needs according to https://www.swift.org/install/linux/tarball/ (Debian 12). The page
# does not list libstdc++-dev.
toolchain_packages="binutils-gold gcc git gnupg2 libcurl4-openssl-dev libedit-dev libpython3-dev libsqlite3-dev
  libxml2-dev libncurses-dev libz3-dev pkg-config tzdata unzip uuid-dev zlib1g-dev"
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v "${SWIFT:-swift}")")")")
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
  awk '$1 == "Debian" && $2 == "Debian" && !found++ { print $3 }')
[ -n "$mirror" ] || { echo "error: apt's configuration names no mirror of Debian; run apt-get update first" >&2; exit 1; }

say "a bare Debian 12"
if [ -n "${BASE:-}" ]; then
  cp -a "$BASE" "$root"
else
  Tests/Scripts/install-packages.sh debootstrap
  debootstrap --variant=minbase bookworm "$root" "$mirror" >"$folder/debootstrap.log" 2>&1 ||
    { tail -n 20 "$folder/debootstrap.log"; exit 1; }
fi
# Copy how this machine reaches its mirror: proxies, disabled checks.
apt-config dump Acquire | grep -iE 'proxy|check-|verify' >"$root/etc/apt/apt.conf.d/90machine" || true
echo "deb $mirror bookworm main" >"$root/etc/apt/sources.list"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
share() { # A folder of this machine at the same path inside, where nothing can change it.
  mkdir -p "$root$1"
  mount --bind "$1" "$root$1"
  mount -o remount,bind,ro "$root$1"
}
share "$toolchain"
# Copy the git settings that redirect repositories to other locations.
git config --get-regexp '^url\..*\.insteadof$' | while read -r key value; do
  git config --file "$root/etc/gitconfig" --add "$key" "$value"
  place=${key#url.} place=${place%.insteadof}
  case $place in /*) [ -e "$root$place" ] || share "${place%/}" ;; esac
done
git config --file "$root/etc/gitconfig" --add safe.directory '*'

path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
inside() { # A line of shell in the clone, in the bare system.
  chroot "$root" env -i HOME=/root PATH="$toolchain/bin:$path" TERM=dumb DEBIAN_FRONTEND=noninteractive \
    bash -c "cd /decant 2>/dev/null; $1"
}
# shellcheck disable=SC2086
inside "apt-get -q update && apt-get -q install -y --no-install-recommends make $(echo $toolchain_packages)" \
  >"$folder/packages.log" 2>&1 || { tail -n 20 "$folder/packages.log"; exit 1; }
git clone -q . "$root/decant"
part "debootstrap and toolchain packages"

# Runs a command that must end with a status and print a message, within a time limit and in at most three lines, not
# counting lines of make and progress lines.
# Arguments: a description, the status, an extended regular expression, the seconds, the command.
expect() {
  local begun=$SECONDS status=0 output
  output=$("${@:5}" 2>&1) || status=$?
  local took=$((SECONDS - begun))
  printf '\n── %s (%d s, exit %d)\n%s\n' "$1" "$took" "$status" "$output"
  [ "$status" -eq "$2" ] || fail "$1: exit $status, not $2"
  grep -qE "$3" <<<"$output" || fail "$1: does not say \"$3\""
  [ "$took" -le "$4" ] || fail "$1: took $took s, more than $4"
  [ "$2" -eq 0 ] || [ "$(grep -cvE '^make|^  [0-9]+:[0-9]{2}  ' <<<"$output")" -le 3 ] || fail "$1: more than three lines"
}

say "what can go wrong before the build"
clone="cd /decant &&"
expect "no Swift" 2 'https://www.swift.org/install/linux/' 5 \
  chroot "$root" env -i PATH="$path" bash -c "$clone make demo"
printf '#!/bin/sh\necho "Swift version 6.1 (swift-6.1-RELEASE)"\n' >"$root/usr/local/bin/old-swift"
chmod +x "$root/usr/local/bin/old-swift"
expect "a Swift that is too old" 2 'Swift 6.1: Decant needs Swift 6.3' 5 inside "make demo SWIFT=old-swift"
expect "no root, no sudo" 2 'needs root or sudo.*libstdc\+\+-12-dev' 10 \
  chroot --userspec=nobody "$root" env -i PATH="$toolchain/bin:$path" bash -c "$clone make demo"
expect "no network" 2 'apt-get update failed.*libstdc\+\+-12-dev' 60 \
  unshare --net chroot "$root" env -i PATH="$toolchain/bin:$path" bash -c "$clone make demo"
mv "$root/etc/apt/sources.list" "$folder/sources.list"
echo "deb http://127.0.0.1:9/debian bookworm main" >"$root/etc/apt/sources.list"
expect "a mirror that refuses" 2 'apt-get update failed.*refused.*libstdc\+\+-12-dev' 30 inside "make demo"
# A server that accepts connections and never answers.
silent() { perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 4999,
  Listen => 9, ReuseAddr => 1) or die; while ($c = $s->accept) { push @c, $c }' & }
silent
server=$!
echo "deb http://127.0.0.1:4999/debian bookworm main" >"$root/etc/apt/sources.list"
expect "a mirror that never answers" 2 'apt-get update failed.*libstdc\+\+-12-dev' 120 inside "make demo"
mv "$folder/sources.list" "$root/etc/apt/sources.list"
expect "a linker without libstdc++" 1 'cannot link a program here' 30 \
  inside "Tests/Scripts/probe-linker.sh swift -c release --static-swift-stdlib"
for port in 9 4999; do
  # Use another HOME, since SwiftPM caches what it fetched.
  expect "dependencies from port $port, which $([ $port = 9 ] && echo refuses || echo "never answers")" 1 \
    'error: git cannot fetch https://github.com/apple/swift-argument-parser' 200 \
    inside "rm -rf /tmp/home /tmp/scratch && mkdir /tmp/home && export HOME=/tmp/home GIT_CONFIG_NOSYSTEM=1 &&
      git config --global url.http://127.0.0.1:$port/.insteadOf https://github.com/ &&
      Tests/Scripts/fetch-dependencies.sh /tmp/scratch swift"
done
kill "$server"
part "what can go wrong before the build"

for number in first second; do
  for target in demo test; do
    say "make $target, the $number time"
    # Print processor seconds too, since on a busy machine the elapsed minutes say little.
    TIMEFORMAT="(make $target, the $number time: %0R s, %0U s of processors)"
    time { inside "make $target" 2>&1 | tee "$folder/$target.$number" || fail "make $target, the $number time"; }
    part "make $target, the $number time"
  done
done
if grep -E '^(building|installing|fetching)' "$folder"/*.second; then fail "the second time something was built"; fi
grep -qE '^[0-9]+ skipped: \.\./shared/checkpoints is not here' "$folder/test.first" || fail "tests that are skipped are not named"
echo "disk: $(du -sm "$root/decant" | cut -f 1) MB in the clone"

if [ -e "$root/decant/Tests/Sample/Package.swift" ]; then
  say "a program that uses the library"
  inside "swift build --package-path Tests/Sample -c release" >"$folder/sample" 2>&1 ||
    { tail -n 20 "$folder/sample"; fail "Tests/Sample does not build"; }
  part "the sample program"
fi

say "the tool where only libc, libm, libstdc++ and libgcc are"
libraries=usr/lib/x86_64-linux-gnu
mkdir -p "$lean/$libraries" "$lean/lib64" "$lean/tmp" "$lean/proc"
ln -s usr/lib "$lean/lib"
cp -L "$root/lib64/ld-linux-x86-64.so.2" "$lean/lib64/"
for name in libc.so.6 libm.so.6 libstdc++.so.6 libgcc_s.so.1; do cp -L "$root/$libraries/$name" "$lean/$libraries/"; done
cp "$root/decant/.build/release/decant" "$lean/"
cp "$root"/decant/.build/demo/resnet50nodown.* "$root"/decant/fixtures/torch/deflated.pth \
  "$root"/decant/fixtures/inputs/input_97x131.npy "$lean/"
mount -t proc proc "$lean/proc"
tool() { chroot "$lean" /decant "$@"; }
expect "it starts" 0 '^[0-9]+\.[0-9]+' 10 tool --version
expect "a stored archive opens" 0 'state dict: model' 20 tool inspect resnet50nodown.pth --filter 'model.fc*'
expect "and is converted" 0 '320 tensors' 20 tool convert resnet50nodown.pth /tmp/out.safetensors --key model
cmp "$lean/tmp/out.safetensors" "$lean/resnet50nodown.safetensors" || fail "it is converted to other bytes"
expect "a deflated archive without libdeflate" 2 'deflated\.pth.*libdeflate0' 10 tool inspect deflated.pth
expect "scan of it" 1 'unreadable.*libdeflate0' 10 bash -c "chroot '$lean' /decant scan deflated.pth | head -n 2; exit \${PIPESTATUS[0]}"
expect "identify without libcrypto" 0 'published.*libssl3' 20 tool identify resnet50nodown.pth
expect "--source-digest without libcrypto" 2 'resnet50nodown\.pth.*libssl3' 20 \
  tool convert resnet50nodown.pth /tmp/digest.safetensors --source-digest
expect "run without an engine" 2 'libdnnl2' 20 \
  tool run resnet50nodown.pth --arch resnet50nodown --input input_97x131.npy
if tool run resnet50nodown.pth --arch resnet50nodown --input input_97x131.npy 2>&1 | grep openblas; then
  fail "run without an engine names two packages"
fi
cp -L "$root/$libraries"/{libdeflate.so.0,libcrypto.so.3} "$lean/$libraries/"
expect "the deflated archive with libdeflate" 0 'tensor' 10 tool inspect deflated.pth
expect "--source-digest with libcrypto" 0 '320 tensors' 20 \
  tool convert resnet50nodown.pth /tmp/digest.safetensors --source-digest
part "missing libraries"

say "minutes"
printf '%s\n' "${timings[@]}"
if [ ${#failures[@]} -gt 0 ]; then
  echo
  printf 'FAILED: %s\n' "${failures[@]}"
  exit 1
fi
echo "everything as it should be"
