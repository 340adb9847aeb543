#!/usr/bin/env bash
# Prints the commands that same-answers.sh runs, one per line: KIND <tab> quick or full <tab> COMMAND.
# A command runs in an empty folder with the links `fixtures` and, if it exists, `checkpoints`.
# Argument: a folder with these links.
set -eu -o pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$1"
export LC_ALL=C # one order of files everywhere

quick() { printf '%s\tquick\t%s\n' "$1" "$2"; }
full() { printf '%s\tfull\t%s\n' "$1" "$2"; }

# Prints the commands of a document's console blocks, parsed as in DocumentationTests.swift. Later commands use files of
# earlier ones, so those of one document run in one folder.
document_cases() { # KIND FILE
  awk -v kind="$1" '
    /^```/ { isConsole = $0 == "```console"; next }
    isConsole && sub(/^\$ /, "") { sub(/ # exit [0-9]+$/, ""); print kind "\tfull\t" $0 }' "$2"
}

# Prints wrong command lines and those that need no file.
usage_cases() {
  local command
  for command in inspect identify verify diff convert run scan report synthesize; do
    quick usage "decant $command"
    quick usage "decant $command --help"
    quick usage "decant $command --no-such-option"
    quick usage "decant $command missing.pth"
    quick usage "decant $command missing.pth missing.safetensors"
  done
  while read -r command; do quick usage "decant $command"; done <<'COMMANDS'

--help
--version
nonsense
help inspect
help nonsense
inspect fixtures/torch/nested.pth fixtures/torch/list.pth
inspect fixtures/torch/nested.pth --json --tree
inspect fixtures/torch/nested.pth --sort nonsense
inspect fixtures/torch/nested.pth --key nonsense --json
inspect fixtures/torch/nested.pth --key epoch --json
inspect fixtures/torch/nested.pth --limit paths=10 --json
inspect fixtures/torch/nested.pth --limit paths=ten
inspect fixtures/torch/nested.pth --limit nonsense=1
inspect fixtures/torch/nested.pth --password-file missing --json
inspect missing.pth --json
inspect - --json < fixtures/torch/nested.pth
inspect /dev/stdin --json < fixtures/torch/nested.pth
identify --architectures --json
identify --dialects --json
identify fixtures/torch/small_nodown.pth --json --size 0
identify fixtures/torch/small_nodown.pth --json --explain --size 97 --stride0 1
identify fixtures/torch/candidates.pth --json --key state_dict
identify missing.pth --json
verify fixtures/torch/small_basic.pth --arch resnet51
verify fixtures/torch/small_basic.pth --arch resnet18 --num-classes ten
verify fixtures/torch/small_basic.pth --json --num-classes 11
verify fixtures/torch/small_basic.pth --json --block-stride 1x1 --stem-pooling none --epsilon 1e-3
verify fixtures/torch/small_basic.pth --json --stage-strides 1,2,2
verify fixtures/torch/small_basic.pth --json --output-stride 8
verify missing.pth --json
diff fixtures/torch/nested.pth
diff fixtures/torch/nested.pth missing.pth --json
diff fixtures/torch/nested.pth fixtures/torch/list.pth --key model --json
diff fixtures/torch/nested.pth fixtures/torch/nested_adam.pth --key-a model --key-b model --json
diff fixtures/torch/nested.pth fixtures/torch/nested_adam.pth --tolerance-abs=-1
convert fixtures/torch/nested.pth
convert fixtures/torch/nested.pth out.nonsense
convert fixtures/torch/nested.pth out.nonsense --format nonsense
convert fixtures/torch/nested.pth out.nonsense --format safetensors
convert fixtures/torch/nested.pth no-such-folder/out.safetensors
convert fixtures/torch/nested.pth out.safetensors --key nonsense
convert fixtures/torch/nested.pth out.safetensors --dtype float17
convert fixtures/torch/nested.pth out.safetensors --dtype int8
convert fixtures/torch/nested.pth out.safetensors --layout chwn
convert fixtures/torch/nested.pth out.safetensors --rename nonsense
convert fixtures/torch/nested.pth out.safetensors --rename 's/.*/same/'
convert fixtures/torch/nested.pth out.safetensors --names nonsense
convert fixtures/torch/nested.pth out.safetensors --shard-size 0
convert fixtures/torch/nested.pth out.safetensors --legacy
convert fixtures/torch/nested.pth out.safetensors --external-data
convert fixtures/torch/nested.pth out.npz --shard-size 1KB
convert fixtures/torch/nested.pth - > out
convert fixtures/torch/nested.pth - --format safetensors > out
convert fixtures/torch/nested.pth - --format npz > out
convert fixtures/torch/nested.pth - --format gguf > out
convert fixtures/torch/nested.pth - --format torch-zip > out
convert fixtures/torch/nested.pth - --format npy-folder > out
convert fixtures/torch/tensor.pth - --format npy > out
convert fixtures/torch/nested.pth out.safetensors --no-clobber && decant convert fixtures/torch/list.pth out.safetensors --no-clobber
convert fixtures/torch/nested.pth out.safetensors && decant convert fixtures/torch/list.pth out.safetensors
convert fixtures/torch/nested.pth out.safetensors --durable
convert missing.pth out.safetensors
run fixtures/torch/small_basic.pth
run fixtures/torch/small_basic.pth --input missing.npy --json
run fixtures/torch/small_basic.pth --input fixtures/torch/nested.pth --json
run fixtures/torch/small_basic.pth --input fixtures/goldens/small_basic.safetensors --json
run fixtures/torch/small_basic.pth --input fixtures/goldens/small_basic.safetensors --input-key stem --json
run fixtures/torch/small_basic.pth --input fixtures/inputs/input_97x131.npy --engine nonsense
run fixtures/torch/small_basic.pth --input fixtures/inputs/input_97x131.npy --numerics nonsense
run fixtures/torch/small_basic.pth --input fixtures/inputs/input_97x131.npy --stage nonsense --output y.npy
run fixtures/torch/small_basic.pth --input fixtures/inputs/input_97x131.npy --threads 0
run fixtures/torch/small_basic.pth --input fixtures/inputs/input_97x131.npy --repeat 0
run fixtures/torch/small_basic.pth --input fixtures/inputs/input_97x131.npy --arch resnet50 --json
run fixtures/torch/small_nodown.pth --input fixtures/inputs/input_97x131.npy --json
run fixtures/torch/nested.pth --input fixtures/inputs/input_97x131.npy --json
run missing.pth --input fixtures/inputs/input_97x131.npy --json
scan --rules
scan missing.pth --json
scan fixtures/torch missing.pth --json
scan fixtures/torch/nested.pth --fail-on nonsense
synthesize resnet51 -o out.pth
synthesize resnet20 -o no-such-folder/out.pth
synthesize resnet20 -o out.pth --seed seven
synthesize resnet20 -o out.pth --num-classes 0
COMMANDS
}

# Prints forward passes. Their numbers depend on the thread count, so both builds use the machine's default.
run_cases() {
  local networks=("fixtures/torch/small_basic.pth" "fixtures/torch/small_nodown.pth --stride0 1" "fixtures/torch/whole_nodown.pth")
  local input="--input fixtures/inputs/input_97x131.npy" network engine stage options picture preprocess
  for network in "${networks[@]}"; do
    for engine in "--engine reference" "--engine onednn" "--engine reference --float64" "--engine onednn --numerics fast"; do
      quick run "decant run $network $input $engine --output y.npy --stages stages.safetensors --json"
      for stage in input stem maxpool layer1 layer2 layer3 layer4 avgpool logits; do
        full run "decant run $network $input $engine --stage $stage --output y.npy"
      done
    done
    while read -r options; do full run "decant run $network $input $options"; done <<'OPTIONS'
--json
--engine both --json
--engine both --validate --json
--validate --json
--float64 --output y.npy --threads 1
--engine reference --output y.npy --threads 1
--engine onednn --output y.npy --threads 1
--repeat 2
--repeat 2 --json
--top 2 --json
--num-classes 0 --json
--block-stride 1x1 --output y.npy --json
--stem-pooling none --output y.npy --json
--stem-pooling average --output y.npy --json
--stem-pooling 'max over zeros' --output y.npy --json
--output-stride 16 --output y.npy --json
--stage-strides 1,1,2,2 --output y.npy --json
--epsilon 1e-3 --output y.npy --json
--tile --output y.npy --json
--input fixtures/inputs/input_224.npy --output y.npy --json
--compare fixtures/goldens/small_basic.safetensors --json
--compare fixtures/goldens/resnet50-97x131.safetensors --json
--limit paths=10 --json
OPTIONS
    full run "seq 10 > labels && decant run $network $input --labels labels --json"
    full run "decant convert ${network%% *} trunk.safetensors --except '*fc.*' && decant run trunk.safetensors --stride0 1 --num-classes 0 $input --stage layer4 --output y.npy"
    full run "decant run $network $input --stages s.safetensors > /dev/null && decant run $network $input --compare s.safetensors --engine reference --json"
  done
  network=fixtures/torch/small_basic.pth
  for picture in fixtures/pictures/* fixtures/crashes/image/*; do
    quick run "decant run $network --input $picture --preprocess imagenet-eval --stage input --output x.npy --json"
    for preprocess in imagenet-raw "imagenet-raw --ignore-orientation" none; do
      full run "decant run $network --input $picture --preprocess $preprocess --stage input --output x.npy --json"
    done
  done
  for options in "--output y.npy --json" "--batch 3 --output y.npy --json" "--engine reference --output y.npy"; do
    full run "decant run $network --input fixtures/pictures --preprocess imagenet-eval $options"
  done
  for network in fixtures/torch/small_basic.pth fixtures/torch/small_nodown.pth; do
    full measure "decant identify $network --measure --json"
    full measure "decant identify $network --measure --images fixtures/inputs/input_97x131.npy --json"
  done
}

# Prints commands on networks of several families: synthesised, identified, verified, exported to ONNX, run by both
# engines.
synthesize_cases() {
  local architecture options make input="--input fixtures/inputs/input_97x131.npy"
  for options in "" "--seed 1" "--seed 2 --num-classes 3" "--key weights.inner" "--key ." "--epoch 4"; do
    quick synthesize "decant synthesize resnet20 -o out.pth $options"
  done
  for architecture in resnet20 resnet10t resnet14t resnet18 resnet18d resnetblur18 seresnet18 legacy_seresnet18 resnetv2_18; do
    make="decant synthesize $architecture --seed 3 --num-classes 3 -o n.pth"
    full synthesize "$make"
    make="$make > /dev/null"
    full identify "$make && decant identify n.pth --json --explain"
    full verify "$make && decant verify n.pth --arch $architecture --num-classes 3 --json"
    full convert "$make && decant convert n.pth n.onnx --arch $architecture"
    full convert "$make && decant convert n.pth n.onnx --arch $architecture --fold-bn --external-data"
    full convert "$make && decant convert n.pth n.safetensors --fold-bn --dtype float16"
    full run "$make && decant run n.pth $input --engine reference --output y.npy --json"
    full run "$make && decant run n.pth $input --engine onednn --output y.npy --json"
  done
}

# Prints the commands for every file and folder, whatever its kind. MODE applies to those with default options.
file_cases() { # MODE FILE NEXT ; NEXT is another file, to compare with
  local mode=$1 file next target options
  printf -v file %q "$2"
  printf -v next %q "$3"
  "$mode" inspect "decant inspect $file --json --digest"
  "$mode" inspect "decant inspect $file --pickle > disassembly"
  "$mode" identify "decant identify $file --json"
  "$mode" verify "decant verify $file --json"
  "$mode" scan "decant scan $file --json"
  full inspect "decant inspect $file --json --checksums"
  full inspect "decant inspect $file --tree"
  full verify "decant verify $file --arch resnet18 --json"
  full scan "decant scan $file --sarif --fail-on dangerous"
  if [ "$(stat -L -c %s "$2")" -gt 200000000 ]; then return; fi # too large to be copied many times
  full report "decant report $file -o report.html"
  "$mode" diff "decant diff $file $file --json"
  full diff "decant diff $file $next --json"
  for target in out.safetensors out.npz out.gguf out.pth out.npy out/; do
    "$mode" convert "decant convert $file $target"
  done
  full convert "decant convert $file out.onnx"
  full convert "decant convert $file out.safetensors --salvage"
}

# Prints commands with options that matter for tensors, in every format whose bytes they change.
tensor_cases() { # FILE
  local file target option
  printf -v file %q "$1"
  for option in "" "--json --stats" "--json --key model" "--json --sort bytes --filter '*weight'" \
    "--json --limit paths=10 --limit depth=5"; do
    full inspect "decant inspect $file $option"
  done
  full identify "decant identify $file"
  full identify "decant identify $file --json --explain --key ."
  full verify "decant verify $file --arch resnet50nodown"
  for target in out.safetensors out.npz out.gguf out.pth out/; do
    for option in "--key ." "--key model" "--dtype float16" "--dtype bfloat16" "--dtype float64" "--layout nhwc" \
      "--dequantize" "--to-dense" "--dequantize --to-dense --check" "--strip-prefix model." "--rename 's/weight/w/'" \
      "--only '*weight'" "--except '*bias'" "--salvage" "--source-digest" "--resolve"; do
      full convert "decant convert $file $target $option"
    done
  done
  for option in "--dtype float16" "--only '*weight'" "--layout nhwc"; do full convert "decant convert $file out.npy $option"; done
  for option in "--shard-size 1KB" "--shard-size 100KB --dtype float16" "--names timm" "--fold-bn"; do
    full convert "decant convert $file out.safetensors $option"
  done
  for option in "--legacy" "--shrink" "--drop-objects" "--legacy --shrink --key ." "--drop-objects --dtype float16"; do
    full convert "decant convert $file out.pth $option"
  done
  full diff "decant convert $file out.safetensors --key . > /dev/null && decant diff $file out.safetensors --json"
  full diff "decant convert $file out.npz > /dev/null && decant diff $file out.npz --json"
  full diff "decant diff $file $file --json --dequantize --to-dense"
  full diff "decant diff $file fixtures/torch/nested.pth --json --exact-names --all"
  full diff "decant diff $file fixtures/torch/nested.pth --json --ignore-names --tolerance-abs 0.5"
}

# Prints the commands that need a network.
network_cases() { # FILE OPTION… ; the options are those that a network needs
  local file=$1 target option names
  for target in out.safetensors out.npz out.pth; do
    for names in torchvision timm transformers detectron2 caffe2 mmpretrain sequential bit-npz canonical nonsense; do
      full convert "decant convert $file $target --names $names"
    done
    full convert "decant convert $file $target --fold-bn"
    full convert "decant convert $file $target --fold-bn --dtype float16 --layout nhwc"
  done
  for option in "" "--fold-bn" "--external-data" "--fold-bn --external-data --check" "--num-classes 0" "--block-stride 1x1" \
    "--stem-pooling average" "--output-stride 16" "--epsilon 1e-3" "--dtype float16" "--source-digest" "--arch resnet18"; do
    full convert "decant convert $* out.onnx $option"
  done
}

all_file_cases() { # MODE FOLDER FIND_EXPRESSION…
  local files i
  mapfile -d '' files < <(find "$2/" "${@:3}" -print0 | sort -z)
  for i in "${!files[@]}"; do file_cases "$1" "${files[i]}" "${files[(i + 1) % ${#files[@]}]}"; done
}

document_cases GUIDE "$root/docs/GUIDE.md"
document_cases README "$root/README.md"
run_cases
synthesize_cases
network_cases fixtures/torch/small_basic.pth
network_cases fixtures/torch/small_nodown.pth --stride0 1
network_cases fixtures/torch/whole_nodown.pth
for file in fixtures/torch/* fixtures/arrays/* fixtures/scripts/* fixtures/folders/*; do tensor_cases "$file"; done
all_file_cases quick fixtures -not -name '*.py' -not -path '*/__pycache__*' \( -type f -o -type d \)
for file in fixtures fixtures/torch fixtures/pickles; do
  quick scan "decant scan $file --json"
  full scan "decant scan $file --sarif --skip '*.dis'"
done
usage_cases
if [ -d checkpoints ]; then
  all_file_cases full checkpoints -mindepth 2 -type f
  full scan "decant scan checkpoints --json"
  full scan "decant scan checkpoints --sarif --fail-on dangerous --skip '*.npy' --threads 1"
  for file in checkpoints/EhanW+advrob-cifar10/pretrained/resnet20.pth \
    checkpoints/akamaster+pytorch_resnet_cifar10/pretrained_models/resnet20-12fca82f.th; do
    network_cases "$file"
    for option in "--engine reference" "--engine onednn" "--float64"; do
      full run "decant run $file --input fixtures/inputs/input_97x131.npy $option --output y.npy --json"
    done
  done
fi
