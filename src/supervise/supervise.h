/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor of one machine: makes it, watches it, undoes it. Everything that lives as long as
 * the machine lives here, in one single-threaded process. Loud.
 */
#pragma once

#include "image/image.h"
#include "spec/spec.h"

/* The next step after an ENOSYS of one of the calls that no start can do without. */
#define SUPERVISE_OLD_KERNEL                                                                       \
	"this kernel lacks a system call that redd needs, or a filter keeps it away (another "     \
	"container's, say): redd needs Linux 5.14 or later"

/*
 * Runs the machine in this process, in the foreground. `image` was found and checked by the
 * caller. Returns the payload's exit code (128 + N for signal N; 126 or 127 for a command that
 * can't be executed, as a shell has it), or -errno when the machine could not be made: that has
 * been said then.
 */
int supervise_run(const struct spec *spec, const struct image *image);

/*
 * Starts it in a process of its own and returns when the machine is ready: 0, or -errno after the
 * reason and the last lines of its console were printed. Nothing is left of a failed start but the
 * console log.
 */
int supervise_start(const struct spec *spec, const struct image *image);

/* Prints the plan and returns: nothing is made but what looking requires. 0 or -errno. */
int supervise_explain(const struct spec *spec, const struct image *image);
