# SPDX-License-Identifier: LGPL-2.1-or-later
# The commands of README.md. meson does the building; this file only calls things in the right order.
BUILD ?= build
PREFIX ?= /usr/local
REPORTS ?= $(BUILD)/reports
PYTEST_ARGS ?=
export REDD ?= $(abspath $(BUILD))/src/redd

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

# A static file starts in a third of the time of a shared one: see doc/decisions/0008-static-or-shared.md
$(BUILD)/build.ninja: | packages-build
	meson setup $(BUILD) -Dstatic=true --prefix=$(PREFIX)

packages-%:
	dist/install-debian-packages $*

install: all
	meson configure $(BUILD) -Dprefix=$(PREFIX)
	meson install -C $(BUILD) --strip

# Imports a system with a web server, starts it, fetches its page, stops and removes it.
demo: packages-guests all
	demo/run

# All tests: units, plans and checks by meson, then real machines. The last line counts them all.
check: packages-check packages-guests packages-peers all
	rm -rf $(REPORTS) && mkdir -p $(REPORTS)
	tests/run-all $(BUILD) $(REPORTS) $(PYTEST_ARGS)

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD)

.PHONY: all install demo check format clean
