/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The leases that are kept, as text and in memory, and the choice of a new one. Pure: no file, no
 * clock. Only for src/net and its tests; others use net/lease.h.
 *
 *	redd-leases 1 [PREFIX]			the unique local prefix, where no host id gives one
 *	MACHINE link|zone=ZONE SUBNET4|- GUEST4|- SUBNET6|- GUEST6|- USED_US
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/str.h"
#include "net/lease.h"

#define LEASES_MAX 4096
/* The longest line is 64 + 18 + 19 + 16 + 25 + 46 + 21 bytes. */
#define LEASE_FILE_MAX (LEASES_MAX * 256)

struct lease_book {
	struct net_lease *list; /* sorted by machine, each once */
	size_t count, capacity;
	struct net_prefix local; /* as the head of the file has it; or none */
	bool is_changed;	 /* must be written */
};

void lease_book_done(struct lease_book *book);
#define autobook autocall(lease_book_done)

/* `text` is taken apart. What is no lease is passed over. 0 or -ENOMEM. */
int lease_book_parse(char *text, struct lease_book *ret);
void lease_book_format(const struct lease_book *book, struct buf *ret);

/* NULL: none. */
struct net_lease *lease_book_find(const struct lease_book *book, const char *machine);
/* A new one, empty but for the name; when there are LEASES_MAX the oldest goes. NULL: no memory. */
struct net_lease *lease_book_add(struct lease_book *book, const char *machine);
/* The same addresses. */
bool lease_is_same(const struct net_lease *a, const struct net_lease *b);
void lease_book_remove(struct lease_book *book, struct net_lease *lease);

/*
 * The lease of the request: the kept one where it still fits, else a new one, which is then in the
 * book. 0, -EADDRNOTAVAIL, -EINVAL for names that can't be kept, -ENOMEM, or -EIO without random
 * bytes.
 */
int lease_pick(struct lease_book *book, const struct net_lease_request *request, uint64_t now_us,
	       struct net_lease *ret);
