#!/usr/bin/env bash
# Demonstrates the main task, from a checkpoint to logits compared with PyTorch's. Argument: the decant binary.
set -eu -o pipefail
decant=$1
folder=.build/demo
mkdir -p "$folder"
step() {
  echo
  echo "── $1"
  shift
  echo "\$ decant $*"
  "$decant" "$@" | "${through:-cat}"
}
# Cuts the middle of long tables. A table's heading is the first line of its paragraph and is kept.
shorten() {
  awk -v RS= -v FS='\n' '{
    if (NR > 1) print ""
    for (i = 1; i <= NF; i++) {
      if (NF > 12 && i == 6) print "  … " NF - 8 " more lines"
      if (NF <= 12 || i < 6 || i > NF - 3) print $i
    }
  }'
}
checkpoint=$folder/resnet50nodown.pth
weights=$folder/resnet50nodown.safetensors
step "make a checkpoint of real size: 94 MB of seeded weights under ['model'], beside an epoch" \
  synthesize resnet50nodown --seed 7 -o "$checkpoint"
through=shorten step "what is in it?" inspect "$checkpoint"
step "is it the network it should be?" verify "$checkpoint" --arch resnet50nodown
step "write the weights to a file that Swift, C++ and Python read" convert "$checkpoint" "$weights" --key model
step "run it, and compare every stage with what PyTorch computed" \
  run "$checkpoint" --arch resnet50nodown --input fixtures/inputs/input_224.npy \
  --compare fixtures/goldens/resnet50nodown-224.safetensors
cat <<'TEXT'

  How to read this table: every stage is compared with PyTorch's run in float64. Of a stage with more than 4,096
  numbers the reference file keeps a sample of 4,096 positions. "largest" is the stage's largest magnitude, "max
  relative" the largest difference divided by it. The last column is not Decant's error: it is the error of PyTorch's
  own float32 run against its float64 run, over the whole stage and divided in the same way.
TEXT
step "run the converted file on an image of odd size: the same network, compared in the same way" \
  run "$weights" --arch resnet50nodown --input fixtures/inputs/input_97x131.npy \
  --compare fixtures/goldens/resnet50nodown-97x131.safetensors
through=shorten step "and a small file that torch.save wrote" inspect fixtures/torch/nested.pth
echo
echo "The files are in $folder. Next: make test runs the tests; $decant --help lists the commands."
