#!/usr/bin/env bash
# Tries the packages of `make dist` on bare Debian 12 systems: the tarball without any package installed, the Debian
# package by apt, the wheel by pip. Needs root. BASE=FOLDER uses an existing debootstrap. Argument: the packages' folder.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" -eq 0 ] || { echo "error: a bare Debian is made by debootstrap and chroot, as root" >&2 && exit 1; }
packages=$(realpath "$1")
# The mounts are in a namespace of their own, which ends with this script in every case.
if [ -z "${DECANT_TRY:-}" ]; then
  folder=$(mktemp -d /var/tmp/decant-try.XXXXXX)
  trap 'rm -rf --one-file-system "$folder"' EXIT
  DECANT_TRY=$folder unshare --mount --propagation private "$PWD/Tests/Scripts/try-dist.sh" "$packages"
  exit
fi
root=$DECANT_TRY/root failures=0
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
  awk '$1 == "Debian" && $2 == "Debian" && !found++ { print $3 }')
[ -n "$mirror" ] || { echo "error: apt's configuration names no mirror of Debian; run apt-get update first" >&2; exit 1; }
if [ -n "${BASE:-}" ]; then
  cp -a "$BASE" "$root"
else
  Tests/Scripts/install-packages.sh debootstrap
  debootstrap --variant=minbase bookworm "$root" "$mirror" >"$DECANT_TRY/log" 2>&1 ||
    { tail -n 20 "$DECANT_TRY/log"; exit 1; }
fi
apt-config dump Acquire | grep -iE 'proxy|check-|verify' >"$root/etc/apt/apt.conf.d/90machine" || true
echo "deb $mirror bookworm main" >"$root/etc/apt/sources.list"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/packages" "$root/fixtures"
mount --bind "$packages" "$root/packages"
mount --bind "$PWD/fixtures" "$root/fixtures"

inside() {
  chroot "$root" env -i HOME=/root PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    DEBIAN_FRONTEND=noninteractive bash -c "$1" 2>&1
}
expect() { # Arguments: what it is, an extended regular expression of the output, the status, the command.
  local status=0 output
  output=$(inside "$4") || status=$?
  if [ "$status" -eq "$3" ] && grep -qE "$2" <<<"$output"; then
    echo "ok      $1"
  else
    failures=$((failures + 1))
    printf 'FAILED  %s: exit %d, not %d, or not "%s"\n%s\n' "$1" "$status" "$3" "$2" "$output"
  fi
}

version=$(basename "$packages"/decant_*.deb | cut -d _ -f 2)
run="run /fixtures/torch/small_basic.pth --input /fixtures/inputs/input_97x131.npy"

# Nothing but the base system is installed here.
expect "tarball: unpacks" '^$' 0 "tar -xzf /packages/decant-$version-linux-*.tar.gz -C /opt && ln -s /opt/decant-*/bin/decant /usr/local/bin/decant && echo"
expect "tarball: version" "^$version" 0 "decant --version"
expect "tarball: inspect" '13 tensors' 0 "decant inspect /fixtures/torch/nested.pth"
expect "tarball: convert" '13 tensors' 0 "decant convert /fixtures/torch/nested.pth /tmp/copy.pth && decant diff --key . /fixtures/torch/nested.pth /tmp/copy.pth"
expect "tarball: the missing engine is named" 'apt-get install libdnnl2' 2 "decant $run"
expect "tarball: scan" '1 clean' 0 "decant scan /fixtures/torch/nested.pth"
inside "apt-get -q update" >"$DECANT_TRY/log" || { tail "$DECANT_TRY/log"; exit 1; }
expect "tarball: one engine is enough" 'logit|class' 0 "apt-get -q install -y --no-install-recommends libopenblas0-pthread >/tmp/log && decant $run"
expect "tarball: goes away" '^$' 0 "rm -r /opt/decant-* /usr/local/bin/decant && apt-get -q purge -y --auto-remove libopenblas0-pthread >/tmp/log && echo"

expect "deb: apt installs it" 'Setting up decant' 0 "apt-get -q install -y /packages/decant_*.deb"
expect "deb: version" "^$version" 0 "decant --version"
expect "deb: run" 'logit|class' 0 "decant $run --engine both"
expect "deb: manual page" 'decant-inspect.1.gz' 0 "dpkg -L decant"
expect "deb: apt removes it" 'Removing decant' 0 "apt-get -q purge -y decant && ! command -v decant && ! find / -xdev -name '*decant*' -not -path '/var/*' -not -path '/proc/*' -not -path '/packages*' -not -path '/fixtures*' | grep ."

expect "wheel: pip installs it" 'Successfully installed decant' 0 "apt-get -q install -y --no-install-recommends python3-venv >/tmp/log && python3 -m venv /venv && /venv/bin/pip install --no-index --disable-pip-version-check /packages/decant-*.whl"
expect "wheel: version" "^$version" 0 "/venv/bin/decant --version"
expect "wheel: inspect" '13 tensors' 0 "/venv/bin/decant inspect /fixtures/torch/nested.pth"
expect "wheel: record is right" '^$' 0 "/venv/bin/pip check >/tmp/log && test -f /venv/share/man/man1/decant.1 && echo"
expect "wheel: pip removes it" 'Successfully uninstalled decant' 0 "/venv/bin/pip uninstall -y decant && ! test -e /venv/bin/decant && ! test -e /venv/share/man/man1/decant.1"
[ "$failures" -eq 0 ] || { echo "$failures failed" >&2 && exit 1; }
