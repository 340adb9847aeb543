#!/usr/bin/env bash
# Installs the tool with its manual pages, completions and documentation below a prefix, or removes exactly these.
# A list of the files and of the folders that did not exist before is part of the installation.
# Arguments: `install` or `uninstall`, the prefix, and for `install` the tool. DESTDIR stands before the prefix.
set -eu -o pipefail
action=$1 prefix=$2 tool=${3:-}
case $prefix in /*) ;; *) echo "error: PREFIX is an absolute path, not '$prefix'" >&2 && exit 2 ;; esac
root=${DESTDIR:-}$prefix
list=share/doc/decant/installed.txt

if [ "$action" = uninstall ]; then
  [ -f "$root/$list" ] || { echo "error: $root/$list does not exist, so nothing was installed there" >&2 && exit 2; }
  # Folders come after their contents. Those that others use stay.
  while read -r kind path; do
    case $kind in
      file) rm -f "$root/$path" ;;
      folder) rmdir "$root/$path" 2>/dev/null || true ;;
    esac
  done <<<"$(cat "$root/$list")"
  echo "removed decant from $root"
  exit 0
fi
# What an earlier version installed goes first.
[ ! -f "$root/$list" ] || "$0" uninstall "$prefix" >/dev/null

files=() folders=()
folder() { # Creates a folder and those above it, and notes the new ones.
  [ -d "$root/$1" ] && return
  case $1 in */*) folder "${1%/*}" ;; esac
  mkdir -p "$root/$1" && folders+=("$1")
}
put() { # Arguments: the mode, the path below the prefix. The contents come from standard input.
  folder "${2%/*}"
  install -m "$1" /dev/stdin "$root/$2" && files+=("$2")
}
put 755 bin/decant <"$tool"
commands=$("$tool" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
for command in decant $commands; do
  name=decant-$command
  [ "$command" != decant ] || name=decant
  put 644 "share/man/man1/$name.1" < <("$tool" --generate-manual-page "$command")
done
put 644 share/bash-completion/completions/decant < <("$tool" --generate-completion-script bash)
put 644 "${ZSH_COMPLETIONS:-share/zsh/site-functions}/_decant" < <("$tool" --generate-completion-script zsh)
put 644 share/fish/vendor_completions.d/decant.fish < <("$tool" --generate-completion-script fish)
for file in README.md CHANGELOG.md LICENSE docs/*.md docs/formats/*.md docs/json/*; do
  [ ! -f "$file" ] || put 644 "share/doc/decant/${file#docs/}" <"$file"
done
if [ -d .build/docs/DecantKit.doccarchive ] && [ -z "${WITHOUT_DOCC:-}" ]; then
  while read -r file; do
    put 644 "share/doc/decant/$file" <".build/docs/$file"
  done < <(cd .build/docs && find DecantKit.doccarchive -type f | LC_ALL=C sort)
fi
folder "${list%/*}"
files+=("$list")
{
  printf 'file %s\n' "${files[@]}"
  for ((i = ${#folders[@]} - 1; i >= 0; i--)); do echo "folder ${folders[i]}"; done
} >"$root/$list"
echo "installed decant in $root: ${#files[@]} files"
