#!/usr/bin/env bash
# Packs the tool as a tarball, a Debian package and a Python wheel. The same tool gives the same bytes: times are those
# of SOURCE_DATE_EPOCH, by default of the last commit. Arguments: the tool, the folder to write.
set -eu -o pipefail
export LC_ALL=C TZ=UTC
umask 022
tool=$(realpath "$1") out=$2
here=$(dirname "$0")
version=$("$tool" --version | head -n 1)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
arch=$(dpkg --print-architecture)
machine=$(uname -m)
mkdir -p "$out"
out=$(realpath "$out")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

stage() { # Installs below a folder, with the times of SOURCE_DATE_EPOCH. Arguments: the folder, the prefix.
  WITHOUT_DOCC=1 DESTDIR=$1 "$here/install.sh" install "$2" "$tool" >"$work/log"
  rm "$1$2/share/doc/decant/installed.txt"
  find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

name=decant-$version-linux-$machine
stage "$work/tarball" "/$name"
tar --directory="$work/tarball" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
  --format=gnu --create "$name" | gzip --no-name -9 >"$out/$name.tar.gz"

ZSH_COMPLETIONS=share/zsh/vendor-completions stage "$work/deb" /usr
doc=$work/deb/usr/share/doc/decant
mv "$doc/LICENSE" "$doc/copyright"
mv "$doc/CHANGELOG.md" "$doc/changelog"
gzip --no-name -9 "$doc/changelog" "$work"/deb/usr/share/man/man1/*.1
mkdir "$work/deb/DEBIAN"
cat >"$work/deb/DEBIAN/control" <<CONTROL
Package: decant
Version: $version
Architecture: $arch
Maintainer: Decant maintainers <maintainers@example.invalid>
Installed-Size: $(du --apparent-size -sk "$work/deb/usr" | cut -f 1)
Depends: libc6 (>= 2.36), libgcc-s1, libstdc++6 (>= 12), libdeflate0, libssl3, libzip4
Recommends: libdnnl2, libopenblas0-pthread, libpng16-16, libturbojpeg0
Section: science
Priority: optional
Description: read, check, convert and run PyTorch checkpoints without Python
 Decant lists, verifies, compares, converts, scans and runs PyTorch checkpoints
 and files of other formats. It never executes code from a file. The recommended
 libraries are for running networks on images.
CONTROL
(cd "$work/deb" && find usr -type f | sort | xargs md5sum >DEBIAN/md5sums)
find "$work/deb" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --threads-max=1 --build "$work/deb" "$out/decant_${version}_$arch.deb" >"$work/log"

# A wheel's scripts go to the environment's bin, and its data below the environment.
wheel=$work/wheel data=decant-$version.data info=decant-$version.dist-info
tag=py3-none-manylinux_2_36_$machine
mkdir -p "$wheel/$data/scripts" "$wheel/$data/data/share" "$wheel/$info"
install -m 755 "$tool" "$wheel/$data/scripts/decant"
for folder in man bash-completion fish zsh; do
  cp -r "$work/tarball/$name/share/$folder" "$wheel/$data/data/share/"
done
cp LICENSE "$wheel/$info/LICENSE"
printf 'Wheel-Version: 1.0\nGenerator: decant (%s)\nRoot-Is-Purelib: false\nTag: %s\n' "$version" "$tag" \
  >"$wheel/$info/WHEEL"
{
  printf 'Metadata-Version: 2.1\nName: decant\nVersion: %s\n' "$version"
  printf 'Summary: Read, check, convert and run PyTorch checkpoints without Python\n'
  printf 'License-File: LICENSE\nRequires-Python: >=3.7\nDescription-Content-Type: text/markdown\n\n'
  cat README.md
} >"$wheel/$info/METADATA"
(
  cd "$wheel"
  find . -type f | sed 's|^\./||' | sort | while read -r file; do
    hex=$(sha256sum "$file" | cut -d ' ' -f 1)
    # The digest's bytes in base64 for URLs, without padding.
    digest=$(printf '%b' "$(sed 's/../\\x&/g' <<<"$hex")" | base64 | tr '+/' '-_' | tr -d '=')
    echo "$file,sha256=$digest,$(stat --format=%s "$file")"
  done >"$work/RECORD"
  echo "$info/RECORD,," >>"$work/RECORD"
  mv "$work/RECORD" "$info/RECORD"
  find . -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
  rm -f "$out/decant-$version-$tag.whl"
  find . -type f | sed 's|^\./||' | sort | zip -X -q -9 -@ "$out/decant-$version-$tag.whl"
)

status=0
for file in "$out/$name.tar.gz" "$out/decant_${version}_$arch.deb" "$out/decant-$version-$tag.whl"; do
  bytes=$(stat --format=%s "$file")
  echo "$(sha256sum "$file" | cut -c 1-12)  $((bytes / 1000000)).$((bytes / 100000 % 10)) MB  $file"
  [ "$bytes" -lt 25000000 ] || { echo "error: $file is larger than 25 MB" >&2 && status=1; }
done
exit "$status"
