#!/usr/bin/env bash
# Creates a virtual environment with the Python packages that Decant is tested against. Argument: its folder.
set -eu
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
python3 -m venv "$folder.new"
pip() { "$folder.new/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
pip -r "$here/../Peers/requirements.txt"
# torchvision on PyPI requires a CUDA build of PyTorch, but its Python code also runs on the CPU build.
pip --no-deps torchvision==0.28.0
rm -rf "$folder"
mv "$folder.new" "$folder"
# After the move the interpreter still works. Only the scripts contain the old path, and none is used.
