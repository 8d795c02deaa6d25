/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages for the packet filter: one growing batch, which the kernel takes as a whole or not at
 * all, and a reader of what is there. No policy. Sources: include/uapi/linux/netfilter/nf_tables.h,
 * nfnetlink.h, and what libnftnl sends.
 */
#pragma once

#include <netinet/in.h> /* before the kernel's own, which then leaves its definitions out */

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: empty. An out-of-memory is sticky in `error`; nft_batch_send() returns it. */
struct nft_batch {
	char *data;
	size_t size, capacity;
	int error;
	uint32_t sequence, sets;
	size_t message; /* where the message being written begins */
	size_t expressions, expression, expression_data;
};

struct nft_chain {
	uint8_t family; /* NFPROTO_INET, NFPROTO_NETDEV … */
	const char *table, *name;
	/* A base chain: */
	const char *type; /* "filter", "nat"; NULL: none */
	uint32_t hook;	  /* NF_INET_… or NF_NETDEV_INGRESS */
	int priority;
	const char *device; /* for NFPROTO_NETDEV */
};

/* A socket in the caller's network namespace, or -errno: -EPROTONOSUPPORT without nfnetlink. */
int nft_open(void);
/* 0, -EOPNOTSUPP when the kernel has no nf_tables, or -errno. */
int nft_probe(int socket);
/* 1, 0, or -errno. */
int nft_has_table(int socket, uint8_t family, const char *name);

void nft_batch_done(struct nft_batch *batch);
/*
 * Sends the batch as one transaction and frees it. 0, or the kernel's -errno for the first message
 * that it refused, whose type (NFT_MSG_…, or -1 for the whole) is then in *ret_refused.
 */
int nft_batch_send(int socket, struct nft_batch *batch, int *ret_refused);

/* Sends whole messages, of which number `last` asks for the acknowledgement. For nft_batch_send().
 */
int nft_transact(int socket, const void *data, size_t size, uint32_t last, int *ret_refused);

/*
 * Of enum nft_table_flags, since Linux 6.9: the table of an owner (NFT_TABLE_F_OWNER) stays when
 * the owner's socket is closed, and belongs to nobody then. Kernels without it: -EOPNOTSUPP.
 */
#define NFT_TABLE_PERSISTS 0x4U

/* With a comment that nft(8) shows, or NULL. */
void nft_add_table(struct nft_batch *batch, uint8_t family, const char *name, uint32_t flags,
		   const char *comment);
void nft_delete_table(struct nft_batch *batch, uint8_t family, const char *name);
/* -ENOENT for another one of the same name, which was made meanwhile. */
void nft_delete_table_by_handle(struct nft_batch *batch, uint8_t family, uint64_t handle);
void nft_add_chain(struct nft_batch *batch, const struct nft_chain *chain);
/* At the chain's end (append) or head; with a comment that nft(8) shows, or NULL. */
void nft_begin_rule(struct nft_batch *batch, const struct nft_chain *chain, bool append,
		    const char *comment);
void nft_end_rule(struct nft_batch *batch);
void nft_delete_rule(struct nft_batch *batch, const struct nft_chain *chain, uint64_t handle);
/*
 * An anonymous map of `count` port numbers from `first` to those from `to`, for nft_lookup() of the
 * rule that follows. Returns its number.
 */
uint32_t nft_add_port_map(struct nft_batch *batch, const struct nft_chain *chain, uint16_t first,
			  uint32_t count, uint16_t to);

/* Expressions of the rule that has been begun; registers are NFT_REG_1 … NFT_REG_4. */
void nft_meta(struct nft_batch *batch, uint32_t key, uint32_t reg);
void nft_ct(struct nft_batch *batch, uint32_t key, uint32_t reg);
/* base: NFT_PAYLOAD_… */
void nft_payload(struct nft_batch *batch, uint32_t base, uint32_t offset, uint32_t size,
		 uint32_t reg);
/* The kind (RTN_…) of the destination address. */
void nft_fib_daddr_type(struct nft_batch *batch, uint32_t reg);
/* reg = reg & mask */
void nft_mask(struct nft_batch *batch, uint32_t reg, const void *mask, uint32_t size);
/* op: NFT_CMP_… */
void nft_cmp(struct nft_batch *batch, uint32_t reg, uint32_t op, const void *data, uint32_t size);
void nft_range(struct nft_batch *batch, uint32_t reg, const void *from, const void *to,
	       uint32_t size);
void nft_load(struct nft_batch *batch, uint32_t reg, const void *data, uint32_t size);
void nft_lookup(struct nft_batch *batch, uint32_t map, uint32_t source, uint32_t reg);
void nft_counter(struct nft_batch *batch);
/* NF_ACCEPT, NF_DROP */
void nft_verdict(struct nft_batch *batch, int verdict);
/* Destination from registers; port_reg 0: the port stays. family: NFPROTO_IPV4, _IPV6. */
void nft_dnat(struct nft_batch *batch, uint8_t family, uint32_t address_reg, uint32_t port_reg);
void nft_masquerade(struct nft_batch *batch);
/* An extension of x_tables, as iptables-nft uses it. */
void nft_xt_match(struct nft_batch *batch, const char *name, uint32_t revision, const void *info,
		  uint32_t size);

/* What a listing is about; `table`, `chain`, `set` may be NULL where the kernel needs none. */
struct nft_query {
	uint8_t family; /* NFPROTO_UNSPEC: all */
	const char *table, *chain, *set;
};

/* One object: its family and attributes, which live as long as the call. Non-zero ends the dump. */
typedef int nft_visit(void *context, uint8_t family, const struct nlattr *attributes, size_t size);

/*
 * type: NFT_MSG_GETTABLE, _GETCHAIN, _GETRULE, _GETSETELEM. What visit returned, 0, or -errno;
 * -EINTR: the rules changed meanwhile, and what was visited is neither the old nor the new.
 */
int nft_list(int socket, int type, const struct nft_query *query, nft_visit *visit, void *context);

/* Attributes by type into ret[count]; absent ones are NULL. */
void nft_parse(const struct nlattr *attributes, size_t size, const struct nlattr *ret[],
	       size_t count);
/* The same for what an attribute holds; NULL holds nothing. */
void nft_parse_nested(const struct nlattr *attribute, const struct nlattr *ret[], size_t count);
/* The next attribute of a nest, or the first for `last` NULL; NULL at the end. */
const struct nlattr *nft_next(const struct nlattr *nest, const struct nlattr *last);
const void *nft_data(const struct nlattr *attribute, size_t *ret_size);
/* "" and 0 for NULL or too short ones. */
const char *nft_text(const struct nlattr *attribute);
uint32_t nft_u32(const struct nlattr *attribute);
uint64_t nft_u64(const struct nlattr *attribute);
/* The comment in the user data of a rule or table, into the buffer; "" when there is none. */
void nft_comment(const struct nlattr *userdata, char *ret, size_t size);
