/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index at the end of an xz file (The .xz File Format, sections 2.1.2 and 4): if
 * block headers have no sizes, a regular file can be decoded in parallel with the help of its
 * index. The index is only a hint: the block decoder checks every size. Quiet.
 */
#pragma once

#include <lzma.h>
#include <stddef.h>
#include <stdint.h>

#define XZ_INDEX_MEMORY_MAX ((uint64_t)64 * 1024 * 1024)

/* Reads up to `size` bytes at `offset`; bytes, or -errno. */
typedef int64_t (*xz_read_at_fn)(void *userdata, void *data, size_t size, uint64_t offset);

/*
 * Reads the combined index of all streams in a file of `size` bytes. The caller frees it with
 * lzma_index_end(). 0, -EBADMSG if there is none, -ENOMEM if it takes more than
 * XZ_INDEX_MEMORY_MAX, or the error of read_at().
 */
int xz_index_read(xz_read_at_fn read_at, void *userdata, uint64_t size, lzma_index **ret);
