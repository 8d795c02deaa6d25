/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps a payload from overwriting redd itself (X01, CVE-2019-5736): whoever puts a process into a
 * machine without a user namespace runs from a read-only mount that only it has, so that
 * /proc/PID/exe of it can't be opened for writing.
 */
#pragma once

/*
 * Executes this program again from such a mount, with the same arguments and environment. Returns
 * 0 at once when it runs from a read-only mount already (also after that exec), or -errno. Call it
 * before anything was opened or printed: descriptors without close-on-exec are kept. Quiet.
 */
int selfexe_protect(void);
