# What a person types. CMake presets do the work; `make help` lists the targets.
JOBS ?= $(shell nproc)

.PHONY: all help deps deps-dev models demo test check proof asan tsan msan clang debug cov lint format bench callgrind asmcheck fuzz install clean

all: build/build.ninja ## release build: build/outrider
	@cmake --build build -j $(JOBS)

build/build.ninja:
	@cmake --preset release $(if $(PREFIX),-DCMAKE_INSTALL_PREFIX=$(PREFIX)) > /dev/null

build-%/build.ninja:
	@cmake --preset $* > /dev/null

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

deps: ## the Debian packages that building and testing need (apt-get)
	@tools/deps.sh

deps-dev: ## and those of lint, fuzz and the second compiler
	@tools/deps.sh dev

models: ## SmolLM2 135M and Gemma 3 270M into $${OUTRIDER_MODELS:-~/.cache/outrider}
	@tools/fetch_models.sh smollm2 gemma3

demo: deps all ## packages, build, a model, a prompt: two commands to a working program
	@tools/demo.sh

test: all ## all tests, the real-model ones too; ends with "N passed, N failed"
	@tools/fetch_models.sh smollm2 gemma3 || echo "SKIPPED: tests of models that could not be fetched"
	@tools/run_tests.sh build

check: all ## the fast tests
	@tools/run_tests.sh build -L fast

proof: all ## the slow proofs; minutes to hours; PROOF.md says what they gave
	@tools/fetch_models.sh smollm2 gemma3
	@tools/proof.sh

asan tsan: %: build-%/build.ninja ## all tests under sanitizers (ASan and UBSan; TSan); models as for `make test`
	@cmake --build build-$@ -j $(JOBS)
	@tools/run_tests.sh build-$@

clang debug cov: %: build-%/build.ninja ## fast tests with clang, at -O0, with coverage
	@cmake --build build-$@ -j $(JOBS)
	@tools/run_tests.sh build-$@ -L fast

# WHY only these: PCRE2, utf8proc and cmocka are not instrumented, and what they write counts as uninitialised
msan: build-msan/build.ninja ## the file and flag parsers under MemorySanitizer
	@cmake --build build-msan -j $(JOBS) --target replay_gguf replay_flags
	@tools/run_tests.sh build-msan -R 'replay_(gguf|flags)'

lint: all ## clang-format, include ladder, unique names, cppcheck, clang-tidy
	@tools/lint.sh

format: ## clang-format in place
	@git ls-files '*.c' '*.h' | xargs clang-format-14 -i

bench: all ## speed of all models beside the read roof and, built here, llama.cpp and ik_llama.cpp; minutes to an hour
	@bench/peers/run.sh

callgrind: all ## instructions of one decoded token (valgrind): a witness of speed that repeats
	@bench/callgrind.py

asmcheck: all ## no new stack stores in the inner loops of the kernels
	@tools/asmcheck.sh build/outrider

fuzz: build-fuzz/build.ninja ## every fuzzer for FUZZ_SECONDS (600) seconds
	@cmake --build build-fuzz -j $(JOBS)
	@tools/fuzz.sh

install: all ## program, library, header, pkg-config file; PREFIX=/usr/local
	@cmake --install build $(if $(PREFIX),--prefix $(PREFIX))

clean: ## all build folders
	@rm -rf build build-*
