# `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps build demo test test-programs test-owned test-doors test-vm test-matrix test-engines stress fault bench order fuzz lint install uninstall deb rpm dist release clean

PREFIX ?= /usr/local
# The default directory of rustup, for shells that were opened before it was installed.
export PATH := $(PATH):$(HOME)/.cargo/bin
# ARCH=arm64 is what to build for, by Debian's name, where it is not this machine's architecture: hack/cross.sh.
FOREIGN := $(filter-out $(if $(ARCH),$(shell dpkg --print-architecture)),$(ARCH))
TARGET := $(or $(CARGO_TARGET_DIR),target)$(FOREIGN:%=/%)
VM := $(if $(FOREIGN),ROOTLING_VM_ARCH=$(FOREIGN) ROOTLING_BIN='$(TARGET)/rootling')
CROSS := $(if $(FOREIGN),cross="$$(hack/cross.sh $(FOREIGN))"; eval "$$cross";)

# The directory of libseccomp.a; if pkg-config does not know it, the guess in .cargo/config.toml is used.
LIBSECCOMP := export LIBSECCOMP_LIB_PATH="$$(pkg-config --variable=libdir libseccomp 2>/dev/null)"; \
	[[ -n $$LIBSECCOMP_LIB_PATH ]] || unset LIBSECCOMP_LIB_PATH;

help: ## Show this help
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

deps: ## Install what is missing of the packages to build and test with
	@ARCH='$(FOREIGN)' hack/deps.sh

build: deps ## Build the release binaries, target/rootling and target/rootling-image (with ARCH=arm64: target/arm64/...)
	@$(LIBSECCOMP) $(CROSS) hack/build.sh; binary="$$(hack/binary.sh)"; \
		install -m 0755 "$$binary" $(TARGET)/rootling; install -m 0755 "$$binary-image" $(TARGET)/rootling-image

demo: build ## Run containers as an ordinary user, and show what happens
	@hack/demo.sh

test: build ## Run the unit tests, and real containers as an ordinary user (and as root, if you are)
	@$(LIBSECCOMP) hack/test.sh

test-programs: deps ## Build the tests without running them
	@$(LIBSECCOMP) if cargo nextest --version >/dev/null 2>&1; \
		then cargo nextest run --workspace --no-run --locked; else cargo test --workspace --no-run --locked; fi

test-owned: build ## Run what matters where the program belongs to the user, so that it copies itself to memory
	@$(LIBSECCOMP) ROOTLING_TEST_OWNED=1 hack/test.sh run exec exhaustion outer_filter rootless_ids nested

test-doors: deps ## Run launches with a debug build, which looks at each door between two rooms what is open
	@$(LIBSECCOMP) cargo build --locked -p rootling -p rootling-image-command
	@$(LIBSECCOMP) ROOTLING_BIN="$$(hack/binary.sh debug)" hack/test.sh run lifecycle exec hooks mounts namespaces seccomp \
		terminal devices idmap_mounts static_program

test-vm: build ## Run real containers in a virtual machine with cgroup v2 and systemd (ARCH=arm64: of that architecture)
	@$(LIBSECCOMP) $(VM) cargo vm tests

test-matrix: build ## Run real containers in a virtual machine of each architecture and kernel (MACHINES: which)
	@$(MAKE) --no-print-directory build ARCH=$(if $(filter arm64,$(shell dpkg --print-architecture)),amd64,arm64)
	@$(LIBSECCOMP) cargo vm matrix $(MACHINES)

test-engines: build ## Run podman, buildah, Docker and containerd with rootling in a virtual machine
	@$(LIBSECCOMP) $(VM) cargo vm engines

stress: build ## Run 3000 containers one by one, 2000 at 64 a time, 10000 execs at 200 a time, 1000 starts under each race, 1000 signals at random moments, 3000 containers that 64 callers fight for, and faults ten times as often
	@$(LIBSECCOMP) ROOTLING_STRESS=3000:2000 ROOTLING_ATTEMPTS=500 ROOTLING_REPEATS=10 \
		hack/test.sh stress attack_races attack_mount_races attack_device_races attack_devices attack_exec attack_namespaces attack_proc waits \
		kills kills_of_helpers races exhaustion

fault: build ## Fail each system call of the runtime once with each plausible error, and judge what comes of it
	@$(LIBSECCOMP) hack/fault.sh

bench: build ## Compare with those of crun, runc and youki that are installed
	@$(LIBSECCOMP) hack/bench.sh

order: build ## Find out anew which functions launches execute, for the linker to put them side by side (root)
	@$(LIBSECCOMP) hack/order.sh

# FUZZ_SEED, FUZZ_TARGET and FUZZ_REPEAT: docs/testing.md.
fuzz: deps ## Run ten million mutated documents and files through all that reads some (FUZZ_INPUTS: how many)
	@$(LIBSECCOMP) cargo run --quiet --profile fuzz --locked -p rootling-fuzz -- --directory $(TARGET)/fuzz \
		$(if $(FUZZ_INPUTS),--inputs $(FUZZ_INPUTS)) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED)) \
		$(FUZZ_TARGET:%=--target %) $(if $(FUZZ_REPEAT),--repeat $(FUZZ_REPEAT))

lint: deps ## Check format, clippy, scripts and the rules of the source
	@$(LIBSECCOMP) hack/lint.sh

install: $(TARGET)/rootling ## Install programs, manual pages, completions, profiles and docs to PREFIX (/usr/local); DESTDIR is put before it
	@BINARY=$< PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' hack/install.sh install

uninstall: ## Remove what `make install` with the same PREFIX and DESTDIR has installed
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' hack/install.sh uninstall

# Built only if the sources are newer, so that root can install what another user has built.
$(TARGET)/rootling: $(shell find cmd crates .cargo Cargo.toml Cargo.lock hack/build.sh hack/target.sh hack/cc.sh hack/order.txt hack/symbols.sed -type f)
	@$(MAKE) --no-print-directory build

deb: $(TARGET)/rootling ## Make a Debian package, target/rootling_VERSION_ARCH.deb
	@$(CROSS) BINARY=$< hack/deb.sh

rpm: $(TARGET)/rootling ## Make an RPM package, target/rootling-VERSION-RELEASE.ARCH.rpm
	@$(CROSS) BINARY=$< hack/rpm.sh

dist: deps ## Make a reproducible static tarball with its checksum, in target/dist
	@$(LIBSECCOMP) $(CROSS) hack/dist.sh

release: deps ## Make and verify all that a release has, in target/release-VERSION: docs/releasing.md
	@$(LIBSECCOMP) hack/release.sh

clean: ## Remove what was built
	cargo clean
