#!/usr/bin/env bash
# Makes a virtual environment with the peers that judge the results. Argument: where.
set -eu
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
python3 -m venv "$folder.new"
pip() { "$folder.new/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
pip -r "$here/../Peers/requirements.txt"
# PyPI's torchvision asks for a CUDA build of PyTorch; its Python code runs on the CPU build as it is.
pip --no-deps torchvision==0.28.0
rm -rf "$folder"
mv "$folder.new" "$folder"
# A moved environment keeps its interpreter; only its scripts name the old folder, and none is used.
