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
 * Looks at the way to the folder that images lie in. Closes the standard pool (IMAGE_POOL, mode
 * 0700) where that is what leaves it open; elsewhere warns and says what would mend it. Logs.
 */
void image_protect_pool(const char *pool);
/* The same for the tree of a machine. The host's own root is everybody's: nothing is said. */
void image_protect_tree(const char *tree);
