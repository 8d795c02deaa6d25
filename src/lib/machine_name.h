/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one rule for names of machines, which everything else asks. Quiet, any process. */
#pragma once

#include <stdbool.h>

/* As a hostname may be (HOST_NAME_MAX, and Linux's sethostname(2) takes no more). */
#define MACHINE_NAME_MAX 64
/* The rule in words, for messages. */
#define MACHINE_NAME_FORM "letters, digits and inner dashes and dots, 1 to 64 bytes"

/* A byte that a label may hold; a dash only inside. */
bool machine_name_has_byte(char c);
/*
 * Labels of letters, digits and inner dashes, with single dots between them. So a valid name is
 * also a safe component of a path, and ".host", which means the host, is none.
 */
bool machine_name_is_valid(const char *name);
