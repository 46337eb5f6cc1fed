# The few commands that people give; Meson does the building. Each target first installs from Debian
# what it needs, which takes no time where it is there already.

PREFIX ?= /usr
DESTDIR ?=
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=
DEMO ?=
SOAK_SECONDS ?= 600
export SOAK_SECONDS

to = $(DESTDIR)$(PREFIX)
command = build/programs/start-tunnel/start-tunnel

.PHONY: all build demo run check bench bench-tunnel interop check-threads soak fuzz check-kernel check-arm64 check-riscv64 fresh-root screenshots format install clean

all: build

build: build/build.ninja
	ninja -C build

# Debian's packages come first: without them there is no Meson to ask.
build/build.ninja: meson.build meson_options.txt
	tools/install-deps build
	[ -e $@ ] || CC=gcc meson setup build

# The main job on real packets, in namespaces; stays up until Ctrl-C. DEMO=--once ends by itself.
demo:
	tools/install-deps demo
	$(MAKE) build
	BUILD_DIR=build /usr/bin/python3 tests/net/demo.py $(DEMO)

# The daemon on this machine, for real, in the foreground and out of the build directory. It changes
# this machine's firewall and routing; `make install` is for machines where it is to stay.
run:
	tools/install-deps demo
	$(MAKE) build
	build/programs/start-tunneld/start-tunneld

check:
	tools/install-deps check
	tools/check

bench:
	tools/install-deps bench
	$(MAKE) build
	BUILD_DIR=build /usr/bin/python3 bench/run.py

# start-wg alone, against other implementations in user space; about eight minutes.
bench-tunnel:
	tools/install-deps bench
	$(MAKE) build
	tools/bench-peers build/peers
	BUILD_DIR=build /usr/bin/python3 bench/tunnel_compare.py --write

fuzz:
	tools/install-deps build fuzz
	[ -e build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=true \
		-Db_sanitize=address,undefined
	ninja -C build-fuzz
	tools/fuzz build-fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# The manual's pictures of the web interface, from a real run.
screenshots:
	tools/install-deps check
	$(MAKE) build
	BUILD_DIR=build /usr/bin/python3 tests/web/run.py --screenshots docs/manual/pictures

# start-wg against every other WireGuard that can be had; two of them are built from their registries.
interop:
	tools/install-deps check
	$(MAKE) build
	tools/bench-peers build/peers
	tools/interop build

# The same under the thread sanitizer, whose first finding ends start-wg and fails the test.
check-threads:
	tools/install-deps check
	[ -e build-thread/build.ninja ] || CC=gcc meson setup build-thread -Db_sanitize=thread -Dpages=false
	ninja -C build-thread
	tools/bench-peers build/peers
	meson test -C build-thread --no-rebuild --print-errorlogs --quiet workers_test job_test
	TSAN_OPTIONS=halt_on_error=1:abort_on_error=1 LAB_PATIENCE=4 tools/interop build-thread -n 2

# start-wg at full speed for long, with its memory watched; SOAK_SECONDS=14400 for a night.
soak:
	tools/install-deps bench
	$(MAKE) build
	BUILD_DIR=build /usr/bin/python3 tests/net/soak.py

# The kernel back end, in a virtual machine with Debian's kernel.
check-kernel:
	tools/install-deps kernel
	$(MAKE) build
	tests/kernel/run build

# The product built for 64-bit Arm or RISC-V, and its unit tests there, by emulation of the processor.
check-arm64 check-riscv64: check-%:
	tools/install-deps $*
	tools/check-arch $*

# The README's two commands in a new Debian that holds nothing else.
fresh-root:
	tools/install-deps fresh
	tools/fresh-root

# Programs, manual pages, completion, unit and account. DESTDIR makes an image instead.
install:
	$(MAKE) build
	meson configure build -Dprefix=$(PREFIX)
	meson install -C build --destdir '$(DESTDIR)' --quiet
	install -d '$(to)/lib/systemd/system'
	sed 's,/usr/bin/,$(PREFIX)/bin/,' packaging/systemd/start-tunneld.service \
		>'$(to)/lib/systemd/system/start-tunneld.service'
	sed 's,/usr/sbin/,$(PREFIX)/sbin/,' packaging/systemd/start-wg@.service \
		>'$(to)/lib/systemd/system/start-wg@.service'
	install -D -m 644 packaging/sysusers.d/start-tunnel.conf \
		'$(to)/lib/sysusers.d/start-tunnel.conf'
	install -D -m 644 -t '$(to)/share/man/man8' docs/man/*.8
	install -d '$(to)/share/man/man1'
	$(command) man '$(to)/share/man/man1'
	install -d '$(to)/share/bash-completion/completions' '$(to)/share/zsh/vendor-completions' \
		'$(to)/share/fish/vendor_completions.d'
	$(command) completion bash >'$(to)/share/bash-completion/completions/start-tunnel'
	$(command) completion zsh >'$(to)/share/zsh/vendor-completions/_start-tunnel'
	$(command) completion fish >'$(to)/share/fish/vendor_completions.d/start-tunnel.fish'
	[ -n '$(DESTDIR)' ] || tools/add-user

format:
	tools/install-deps check
	git ls-files -z --cached --others --exclude-standard -- '*.c' '*.h' | xargs -0 clang-format -i

clean:
	rm -rf build build-arm64 build-clang build-fuzz build-riscv64 build-sanitize build-thread web/dist
