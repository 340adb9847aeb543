# `make help` lists the targets. All build products are in .build/, which git ignores.
SHELL := /bin/bash
.DEFAULT_GOAL := help

SWIFT ?= swift
# Release, with the Swift runtime linked statically: starts 3 ms sooner and runs without Swift installed. The linker
# strips
# symbols, which removes more than half of the file's size.
FLAGS := -c release --static-swift-stdlib -Xlinker -s
# The testing library exists only as a shared library, so the tests are built separately. Tests of the command line run
# the
# release build of the tool.
TESTFLAGS := -c release --scratch-path .build/tests
DECANT := .build/release/decant
PYTHON := .build/peers/bin/python

# The packages needed to link the tool and those it loads on first use.
PACKAGES := git ca-certificates gcc libc6-dev libstdc++-12-dev \
  libdeflate0 libbz2-1.0 liblzma5 libzip4 libssl3 libdnnl2 libopenblas0-pthread libpng16-16 libturbojpeg0

.PHONY: help packages build install uninstall dist try-dist demo test fuzz fuzz-scan peers peers-all bench screenshots docs threads bare proofs format lint clean same-answers

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

packages: ## Check Swift and install the Debian packages that are missing.
	@Tests/Scripts/check-swift.sh $(SWIFT)
	@Tests/Scripts/install-packages.sh $(PACKAGES)
	@Tests/Scripts/probe-linker.sh $(SWIFT) $(FLAGS)

build: packages ## Build the tool in release.
	@Tests/Scripts/fetch-dependencies.sh .build $(SWIFT)
	@Tests/Scripts/progress.sh "building decant in release (about 3 minutes from nothing on two processors)" build \
	  $(SWIFT) build $(FLAGS) --product decant

PREFIX ?= /usr/local
install: docs ## Install the tool, manual pages, completions and documentation: PREFIX=/usr/local DESTDIR=.
	@DESTDIR=$(DESTDIR) Tests/Scripts/install.sh install $(PREFIX) $(DECANT)

uninstall: ## Remove exactly what `make install` installed.
	@DESTDIR=$(DESTDIR) Tests/Scripts/install.sh uninstall $(PREFIX)

dist: build ## Write a tarball, a Debian package and a Python wheel to .build/dist, twice, and compare them.
	@Tests/Scripts/install-packages.sh zip
	@Tests/Scripts/dist.sh $(DECANT) .build/dist
	@Tests/Scripts/dist.sh $(DECANT) .build/dist-again >/dev/null && diff -r .build/dist .build/dist-again

try-dist: dist ## Try these packages on a bare Debian 12; as root.
	@Tests/Scripts/try-dist.sh .build/dist

demo: build ## Run the main job on real size: synthesise, inspect, verify, convert, run, compare with PyTorch.
	@Tests/Scripts/demo.sh $(DECANT)

test: build ## Run every test that needs no Python.
	@Tests/Scripts/fetch-dependencies.sh .build/tests $(SWIFT)
	@DECANT=$(CURDIR)/$(DECANT) Tests/Scripts/test.sh $(SWIFT) test $(TESTFLAGS)

# This also detects leaks: LeakSanitizer comes with the address sanitizer and needs no other package.
TARGETS ?= pickle zip legacy tar safetensors gguf npy model folder ranks scan evidence image
DURATION ?= 60
fuzz: build $(PYTHON) ## Fuzz every reader for a minute each: DURATION=900 for longer, TARGETS="pickle zip" for some.
	@Tests/Scripts/progress.sh "building the fuzzer with the address sanitizer in .build/fuzz (about three minutes)" fuzz \
	  $(SWIFT) build -c release --package-path Tests/Fuzzing --scratch-path .build/fuzz \
	  --sanitize fuzzer --product decant-fuzz
	@echo "fuzzing two targets at a time for $(DURATION) s each; what is found goes to .build/fuzz/found"
	@printf '%s\n' $(TARGETS) | xargs -P 2 -I {} Tests/Fuzzing/fuzz.sh {} $(DURATION)
	@echo "comparing the pickle machine with CPython's unpicklers for $(DURATION) s"
	@DECANT=$(CURDIR)/$(DECANT) DECANT_FUZZ_SEED=new DECANT_FUZZ_SECONDS=$(DURATION) $(PYTHON) -m pytest -q -s \
	  -p no:cacheprovider Tests/Peers/test_pickle_machine.py
	@$(MAKE) --no-print-directory fuzz-scan DURATION=$(DURATION)

fuzz-scan: build $(PYTHON) ## Try new attacks on scan, and compare it with other readers, for DURATION seconds each.
	@Tests/Scripts/install-packages.sh bubblewrap pypy3
	@DECANT=$(CURDIR)/$(DECANT) ATTACK_SEED=new ATTACK_SHARE=4 SCAN_SEED=new SCAN_SECONDS=$(DURATION) $(PYTHON) -m pytest \
	  -q --tb=short -p no:cacheprovider -rs -n 2 --dist worksteal Tests/Peers/test_attacks.py Tests/Peers/test_scan_differences.py

peers: build $(PYTHON) ## Test against the real peers: PyTorch, safetensors, NumPy, CPython's pickletools.
	@Tests/Scripts/install-packages.sh bubblewrap pypy3 chromium graphviz fonts-dejavu
	@echo "testing against the peers in .build/peers"
	@DECANT=$(CURDIR)/$(DECANT) DECANT_CORPUS=$(abspath ../shared/checkpoints) $(PYTHON) -m pytest -q -p no:cacheprovider -rs \
	  -n 2 --dist worksteal Tests/Peers

peers-all: build $(PYTHON) ## Name, verify and run every ResNet of torchvision and timm; writes docs/IDENTIFIED.md (about an hour).
	@echo "making, identifying and running about two hundred networks, the largest of 4 GB in a temporary folder"
	@DECANT=$(CURDIR)/$(DECANT) $(PYTHON) -m pytest -q -p no:cacheprovider Tests/Peers/every_name.py

bench: build $(PYTHON) ## Measure beside the peers in one run; prints the tables of docs/BENCHMARKS.md.
	@$(PYTHON) Tests/Benchmarks/bench.py $(DECANT)

screenshots: build $(PYTHON) ## Write the pictures of docs/images: the report, and every command on a terminal.
	@Tests/Scripts/install-packages.sh chromium fonts-dejavu
	@$(PYTHON) Tests/Scripts/screenshots.py $(DECANT)

docs: build ## Write the documentation of the library to .build/docs.
	@Tests/Scripts/make-docs.sh $(SWIFT)

threads: build ## Look for data races: many tasks on one network and one checkpoint, under ThreadSanitizer.
	@Tests/Scripts/threads.sh $(SWIFT) $(DECANT)

bare: ## Run make demo and make test on a bare Debian 12, and what goes wrong there; as root, log in .build/bare.log.
	@Tests/Scripts/bare.sh

proofs: ## Run what is longer than the gate (hours) and write docs/PROOFS.md; PARTS="bare fuzz" for some.
	@Tests/Scripts/proofs.sh $(PARTS)

$(PYTHON): Tests/Peers/requirements.txt
	@Tests/Scripts/install-packages.sh python3-venv
	@echo "installing the peers from PyPI into .build/peers (about 1 GB)"
	@Tests/Scripts/make-peers.sh .build/peers

format: ## Format the Swift sources.
	@$(SWIFT) format --in-place --recursive --parallel Sources Tests Package.swift

lint: packages ## Check the format of the Swift sources, and the C shims for 64-bit ARM too.
	@Tests/Scripts/install-packages.sh libc6-dev-arm64-cross
	@Tests/Scripts/lint.sh $(SWIFT)

clean: ## Remove everything that was built.
	@rm -rf .build

same-answers: build ## Compare the answers of OLD=path, a decant built before a change, with this one's: OPTIONS=--quick for some.
	@Tests/Scripts/install-packages.sh jq
	@Tests/Scripts/same-answers.sh $(OPTIONS) $(OLD) $(DECANT)
