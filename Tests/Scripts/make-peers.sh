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
# DeepSpeed requires CUDA builds of some packages, and builds from source against the installed PyTorch. On the CPU it
# needs none of them. It looks for ninja on PATH.
pip hjson msgpack ninja psutil py-cpuinfo einops pydantic tqdm setuptools wheel
PATH="$folder.new/bin:$PATH" DS_ACCELERATOR=cpu pip --no-deps --no-build-isolation deepspeed==0.19.8
rm -rf "$folder"
mv "$folder.new" "$folder"
# After the move the interpreter still works. Only the scripts contain the old path, and none is used.
