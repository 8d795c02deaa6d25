/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether users of the host can reach the files of an image. What root inside a machine owns is, on
 * the host's disk, owned by the host's root: a setuid file that it leaves in its tree is one of the
 * host's, and so is one that an archive brings. It must not be executable for anybody outside.
 */
#pragma once

/*
 * Whether a user other than root can come into `folder`, an absolute path with links resolved, and
 * run setuid files there. 1, 0 or -errno. Quiet.
 */
int image_is_exposed(const char *folder);

/*
 * Checks whether images in `pool` are exposed. If so, the standard pool (IMAGE_POOL) gets mode
 * 0700; for another pool, logs a warning with a hint. Loud.
 */
void image_protect_pool(const char *pool);
/* The same for the tree of a machine. No warning for the host's own root. */
void image_protect_tree(const char *tree);
