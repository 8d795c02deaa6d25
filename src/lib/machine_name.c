/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a machine may be called. Must never ask the locale: libnss_redd runs this in any program.
 * Either side of clone().
 */
#include "lib/machine_name.h"

#include <stddef.h>

bool machine_name_has_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-';
}

bool machine_name_is_valid(const char *name)
{
	char before = '.';
	size_t n = 0;

	for (; name[n]; n++) {
		char c = name[n];

		if (n >= MACHINE_NAME_MAX || (c != '.' && !machine_name_has_byte(c)))
			return false;
		/* A label is not empty and has no dash at either end. */
		if ((before == '.' && (c == '.' || c == '-')) || (before == '-' && c == '.'))
			return false;
		before = c;
	}
	return n > 0 && before != '.' && before != '-';
}
