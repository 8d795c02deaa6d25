/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps a payload from overwriting redd itself (X01, CVE-2019-5736): a redd that puts a process
 * into a machine without a user namespace runs from a private read-only mount, so that its
 * /proc/PID/exe can't be opened for writing.
 */
#pragma once

/*
 * Executes this program again from such a mount, with the same arguments and environment. Returns 0
 * when it already runs from a read-only mount, as after that exec, or -errno. Call it before
 * anything is opened or printed: descriptors without close-on-exec are kept. Quiet.
 */
int selfexe_protect(void);
