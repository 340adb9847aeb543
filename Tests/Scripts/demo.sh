#!/usr/bin/env bash
# The main job, from a checkpoint to logits that PyTorch confirms. Argument: the decant binary.
set -eu
decant=$1
folder=.build/demo
mkdir -p "$folder"
step() {
  echo
  echo "── $1"
  shift
  echo "\$ decant $*"
  "$decant" "$@"
}
shorten() { awk 'NR <= 14 { print; next } { rest[NR] = $0 } END { if (NR > 26) print "  …"; for (i = (NR > 26 ? NR - 7 : 15); i <= NR; i++) print rest[i] }'; }
shortly() {
  echo
  echo "── $1"
  shift
  echo "\$ decant $*"
  "$decant" "$@" | shorten
}
checkpoint=$folder/resnet50nodown.pth
weights=$folder/resnet50nodown.safetensors
step "make a checkpoint of real size: 94 MB of seeded weights under ['model'], beside an epoch" \
  synthesize resnet50nodown --seed 7 -o "$checkpoint"
shortly "what is in it?" inspect "$checkpoint"
step "is it the network it should be?" verify "$checkpoint" --arch resnet50nodown
step "pour the weights into a file that Swift, C++ and Python read" convert "$checkpoint" "$weights" --key model
step "run it, and compare the logit and every stage with what PyTorch computed" \
  run "$checkpoint" --arch resnet50nodown --input fixtures/inputs/input_224.npy \
  --compare fixtures/goldens/resnet50nodown-224.safetensors
step "run the converted file at an odd size: it too is PyTorch's network" \
  run "$weights" --arch resnet50nodown --input fixtures/inputs/input_97x131.npy \
  --compare fixtures/goldens/resnet50nodown-97x131.safetensors
shortly "and a small file that torch.save itself wrote" inspect fixtures/torch/nested.pth
echo
echo "The files are in $folder; make test runs the tests."
