/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index at the end of an xz file (The .xz File Format, sections 2.1.2 and 4): where block
 * headers lack sizes, it lets a seekable file be decoded in parallel all the same. What it says is
 * only a hint: the block decoder checks every size. Quiet.
 */
#pragma once

#include <lzma.h>
#include <stddef.h>
#include <stdint.h>

#define XZ_INDEX_MEMORY_MAX ((uint64_t)64 * 1024 * 1024)

/* Reads up to `size` bytes at `offset`; bytes, or -errno. */
typedef int64_t (*xz_read_at_fn)(void *userdata, void *data, size_t size, uint64_t offset);

/* The combined index of all streams of a file of `size` bytes; -EBADMSG when there is none. */
int xz_index_read(xz_read_at_fn read_at, void *userdata, uint64_t size, lzma_index **ret);
