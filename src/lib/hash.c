/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SipHash-2-4, written from the paper "SipHash: a fast short-input PRF" (2012). Must never be used
 * where a cryptographic hash of public data is needed. Parent side of clone() only.
 */
#include "lib/hash.h"

#include <string.h>

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static uint64_t load_le64(const uint8_t *p)
{
	uint64_t x = 0;

	for (unsigned i = 8; i-- > 0;)
		x = x << 8 | p[i];
	return x;
}

static void sip_rounds(uint64_t v[4], unsigned rounds)
{
	while (rounds-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
}

uint64_t hash_siphash24(const void *data, size_t size, const uint8_t key[16])
{
	uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
	/* "somepseudorandomlygeneratedbytes", the paper's constants */
	uint64_t v[4] = {
		k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573),
	};
	const uint8_t *p = data;
	size_t left = size;
	uint8_t last[8] = {};

	for (; left >= 8; p += 8, left -= 8)
		sip_absorb(v, load_le64(p));
	if (left > 0)
		memcpy(last, p, left);
	last[7] = (uint8_t)size;
	sip_absorb(v, load_le64(last));
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
