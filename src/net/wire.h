/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers in network byte order at any alignment. Pure; the caller has checked the bounds. */
#pragma once

#include <stdint.h>

static inline uint16_t wire_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire_get32(const uint8_t *p)
{
	return (uint32_t)wire_get16(p) << 16 | wire_get16(p + 2);
}

static inline void wire_put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline void wire_put32(uint8_t *p, uint32_t value)
{
	wire_put16(p, (uint16_t)(value >> 16));
	wire_put16(p + 2, (uint16_t)value);
}
