/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Batches of messages for the packet filter, and their expressions. Quiet. Supervisor's side. */
#include "kernel/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 8192
#define ELEMENTS_PER_MESSAGE 1024 /* the length of an attribute has 16 bits */
/* What nft(8) writes beside rules and sets for itself; not part of the kernel's interface. */
#define USERDATA_COMMENT 0 /* of rules and of tables */
#define USERDATA_SET_KEY_ORDER 0
#define USERDATA_SET_DATA_ORDER 1
#define ORDER_NETWORK 2
#define TYPE_INET_SERVICE 13
#define COMMENT_MAX 128

/* Room for `size` bytes more, zeroed; NULL when there is none. */
static void *extend(struct nft_batch *batch, size_t size)
{
	size_t padded = NLMSG_ALIGN(size), capacity = batch->capacity;
	char *data;

	if (batch->error)
		return NULL;
	while (batch->size + padded > capacity)
		capacity = capacity ? capacity * 2 : FIRST_CAPACITY;
	if (capacity != batch->capacity) {
		data = realloc(batch->data, capacity);
		if (!data) {
			batch->error = -ENOMEM;
			return NULL;
		}
		batch->data = data;
		batch->capacity = capacity;
	}
	data = batch->data + batch->size;
	memset(data, 0, padded);
	batch->size += padded;
	return data;
}

static void put(struct nft_batch *batch, uint16_t type, const void *data, size_t size)
{
	struct nlattr *attribute = extend(batch, NLA_HDRLEN + size);

	if (!attribute)
		return;
	attribute->nla_len = (uint16_t)(NLA_HDRLEN + size);
	attribute->nla_type = type;
	if (size > 0)
		memcpy((char *)attribute + NLA_HDRLEN, data, size);
}

static void put_str(struct nft_batch *batch, uint16_t type, const char *s)
{
	put(batch, type, s, strlen(s) + 1);
}

static void put_u32(struct nft_batch *batch, uint16_t type, uint32_t value)
{
	value = htonl(value);
	put(batch, type, &value, sizeof(value));
}

static size_t begin_nest(struct nft_batch *batch, uint16_t type)
{
	size_t at = batch->size;

	put(batch, (uint16_t)(type | NLA_F_NESTED), NULL, 0);
	return at;
}

static void end_nest(struct nft_batch *batch, size_t at)
{
	struct nlattr *attribute = (struct nlattr *)(batch->data + at);

	if (!batch->error)
		attribute->nla_len = (uint16_t)(batch->size - at);
}

static void begin_message(struct nft_batch *batch, uint16_t type, uint16_t flags, uint8_t family,
			  uint16_t resource)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg body;
	} * message;

	batch->message = batch->size;
	message = extend(batch, sizeof(*message));
	if (!message)
		return;
	message->header.nlmsg_type = type;
	message->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	message->header.nlmsg_seq = ++batch->sequence;
	message->body.nfgen_family = family;
	message->body.res_id = htons(resource);
}

static void end_message(struct nft_batch *batch)
{
	struct nlmsghdr *header = (struct nlmsghdr *)(batch->data + batch->message);

	if (!batch->error)
		header->nlmsg_len = (uint32_t)(batch->size - batch->message);
}

static void begin(struct nft_batch *batch, uint16_t type, uint16_t flags, uint8_t family)
{
	if (batch->size == 0) {
		begin_message(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
		end_message(batch);
	}
	begin_message(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, family, 0);
}

/* Closes the batch; the last message in it asks for the one acknowledgement. */
static void finish(struct nft_batch *batch)
{
	struct nlmsghdr *last = (struct nlmsghdr *)(batch->data + batch->message);

	if (!batch->error && batch->size > 0)
		last->nlmsg_flags |= NLM_F_ACK;
	begin_message(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	end_message(batch);
}

void nft_batch_done(struct nft_batch *batch)
{
	int saved = errno;

	free(batch->data);
	*batch = (struct nft_batch){};
	errno = saved;
}

int nft_batch_send(int socket, struct nft_batch *batch, int *ret_refused)
{
	uint32_t last = batch->sequence;
	int r;

	finish(batch);
	r = batch->error;
	*ret_refused = -1;
	if (r == 0)
		r = nft_transact(socket, batch->data, batch->size, last, ret_refused);
	nft_batch_done(batch);
	return r;
}

/* nft(8) keeps its own notes as type, length, value, a byte each. */
static void put_comment(struct nft_batch *batch, uint16_t type, const char *comment)
{
	char userdata[2 + COMMENT_MAX] = {USERDATA_COMMENT};
	size_t size = strnlen(comment, COMMENT_MAX - 1) + 1;

	userdata[1] = (char)size;
	memcpy(userdata + 2, comment, size - 1);
	put(batch, type, userdata, 2 + size);
}

void nft_add_table(struct nft_batch *batch, uint8_t family, const char *name, uint32_t flags,
		   const char *comment)
{
	begin(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, family);
	put_str(batch, NFTA_TABLE_NAME, name);
	put_u32(batch, NFTA_TABLE_FLAGS, flags);
	if (comment)
		put_comment(batch, NFTA_TABLE_USERDATA, comment);
	end_message(batch);
}

void nft_delete_table(struct nft_batch *batch, uint8_t family, const char *name)
{
	begin(batch, NFT_MSG_DELTABLE, 0, family);
	put_str(batch, NFTA_TABLE_NAME, name);
	end_message(batch);
}

void nft_delete_table_by_handle(struct nft_batch *batch, uint8_t family, uint64_t handle)
{
	handle = htobe64(handle);
	begin(batch, NFT_MSG_DELTABLE, 0, family);
	put(batch, NFTA_TABLE_HANDLE, &handle, sizeof(handle));
	end_message(batch);
}

void nft_add_chain(struct nft_batch *batch, const struct nft_chain *chain)
{
	size_t nest;

	begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, chain->family);
	put_str(batch, NFTA_CHAIN_TABLE, chain->table);
	put_str(batch, NFTA_CHAIN_NAME, chain->name);
	if (chain->type) {
		nest = begin_nest(batch, NFTA_CHAIN_HOOK);
		put_u32(batch, NFTA_HOOK_HOOKNUM, chain->hook);
		put_u32(batch, NFTA_HOOK_PRIORITY, (uint32_t)chain->priority);
		if (chain->device)
			put_str(batch, NFTA_HOOK_DEV, chain->device);
		end_nest(batch, nest);
		put_u32(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
		put_str(batch, NFTA_CHAIN_TYPE, chain->type);
	}
	end_message(batch);
}

void nft_begin_rule(struct nft_batch *batch, const struct nft_chain *chain, bool append,
		    const char *comment)
{
	begin(batch, NFT_MSG_NEWRULE, (uint16_t)(NLM_F_CREATE | (append ? NLM_F_APPEND : 0)),
	      chain->family);
	put_str(batch, NFTA_RULE_TABLE, chain->table);
	put_str(batch, NFTA_RULE_CHAIN, chain->name);
	if (comment)
		put_comment(batch, NFTA_RULE_USERDATA, comment);
	batch->expressions = begin_nest(batch, NFTA_RULE_EXPRESSIONS);
}

void nft_end_rule(struct nft_batch *batch)
{
	end_nest(batch, batch->expressions);
	end_message(batch);
}

void nft_delete_rule(struct nft_batch *batch, const struct nft_chain *chain, uint64_t handle)
{
	handle = htobe64(handle);
	begin(batch, NFT_MSG_DELRULE, 0, chain->family);
	put_str(batch, NFTA_RULE_TABLE, chain->table);
	put_str(batch, NFTA_RULE_CHAIN, chain->name);
	put(batch, NFTA_RULE_HANDLE, &handle, sizeof(handle));
	end_message(batch);
}

/* Data that goes into a register or is compared with one: a nest of its own. */
static void put_value(struct nft_batch *batch, uint16_t type, const void *data, uint32_t size)
{
	size_t nest = begin_nest(batch, type);

	put(batch, NFTA_DATA_VALUE, data, size);
	end_nest(batch, nest);
}

static void put_port_pair(struct nft_batch *batch, uint32_t from, uint32_t to)
{
	uint16_t key = htons((uint16_t)from), data = htons((uint16_t)to);
	size_t nest = begin_nest(batch, NFTA_LIST_ELEM);

	put_value(batch, NFTA_SET_ELEM_KEY, &key, sizeof(key));
	put_value(batch, NFTA_SET_ELEM_DATA, &data, sizeof(data));
	end_nest(batch, nest);
}

static void add_map(struct nft_batch *batch, const struct nft_chain *chain, uint32_t map,
		    uint32_t count)
{
	static const uint8_t orders[] = {
		USERDATA_SET_KEY_ORDER,	 4, ORDER_NETWORK, 0, 0, 0,
		USERDATA_SET_DATA_ORDER, 4, ORDER_NETWORK, 0, 0, 0,
	};
	size_t nest;

	begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE, chain->family);
	put_str(batch, NFTA_SET_TABLE, chain->table);
	put_str(batch, NFTA_SET_NAME, "__map%d");
	put_u32(batch, NFTA_SET_ID, map);
	put_u32(batch, NFTA_SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_MAP);
	put_u32(batch, NFTA_SET_KEY_TYPE, TYPE_INET_SERVICE);
	put_u32(batch, NFTA_SET_KEY_LEN, sizeof(uint16_t));
	put_u32(batch, NFTA_SET_DATA_TYPE, TYPE_INET_SERVICE);
	put_u32(batch, NFTA_SET_DATA_LEN, sizeof(uint16_t));
	nest = begin_nest(batch, NFTA_SET_DESC);
	put_u32(batch, NFTA_SET_DESC_SIZE, count);
	end_nest(batch, nest);
	put(batch, NFTA_SET_USERDATA, orders, sizeof(orders));
	end_message(batch);
}

uint32_t nft_add_port_map(struct nft_batch *batch, const struct nft_chain *chain, uint16_t first,
			  uint32_t count, uint16_t to)
{
	uint32_t map = ++batch->sets;

	add_map(batch, chain, map, count);
	for (uint32_t done = 0; done < count;) {
		uint32_t end =
			done + ELEMENTS_PER_MESSAGE < count ? done + ELEMENTS_PER_MESSAGE : count;
		size_t nest;

		begin(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, chain->family);
		put_str(batch, NFTA_SET_ELEM_LIST_TABLE, chain->table);
		put_str(batch, NFTA_SET_ELEM_LIST_SET, "__map%d");
		put_u32(batch, NFTA_SET_ELEM_LIST_SET_ID, map);
		nest = begin_nest(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (; done < end; done++)
			put_port_pair(batch, first + done, to + done);
		end_nest(batch, nest);
		end_message(batch);
	}
	return map;
}

static void begin_expression(struct nft_batch *batch, const char *name)
{
	batch->expression = begin_nest(batch, NFTA_LIST_ELEM);
	put_str(batch, NFTA_EXPR_NAME, name);
	batch->expression_data = begin_nest(batch, NFTA_EXPR_DATA);
}

static void end_expression(struct nft_batch *batch)
{
	end_nest(batch, batch->expression_data);
	end_nest(batch, batch->expression);
}

void nft_meta(struct nft_batch *batch, uint32_t key, uint32_t reg)
{
	begin_expression(batch, "meta");
	put_u32(batch, NFTA_META_KEY, key);
	put_u32(batch, NFTA_META_DREG, reg);
	end_expression(batch);
}

void nft_ct(struct nft_batch *batch, uint32_t key, uint32_t reg)
{
	begin_expression(batch, "ct");
	put_u32(batch, NFTA_CT_KEY, key);
	put_u32(batch, NFTA_CT_DREG, reg);
	end_expression(batch);
}

void nft_payload(struct nft_batch *batch, uint32_t base, uint32_t offset, uint32_t size,
		 uint32_t reg)
{
	begin_expression(batch, "payload");
	put_u32(batch, NFTA_PAYLOAD_DREG, reg);
	put_u32(batch, NFTA_PAYLOAD_BASE, base);
	put_u32(batch, NFTA_PAYLOAD_OFFSET, offset);
	put_u32(batch, NFTA_PAYLOAD_LEN, size);
	end_expression(batch);
}

void nft_fib_daddr_type(struct nft_batch *batch, uint32_t reg)
{
	begin_expression(batch, "fib");
	put_u32(batch, NFTA_FIB_DREG, reg);
	put_u32(batch, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	put_u32(batch, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	end_expression(batch);
}

void nft_mask(struct nft_batch *batch, uint32_t reg, const void *mask, uint32_t size)
{
	static const uint8_t zero[16];

	begin_expression(batch, "bitwise");
	put_u32(batch, NFTA_BITWISE_SREG, reg);
	put_u32(batch, NFTA_BITWISE_DREG, reg);
	put_u32(batch, NFTA_BITWISE_LEN, size);
	put_value(batch, NFTA_BITWISE_MASK, mask, size);
	put_value(batch, NFTA_BITWISE_XOR, zero, size);
	end_expression(batch);
}

void nft_cmp(struct nft_batch *batch, uint32_t reg, uint32_t op, const void *data, uint32_t size)
{
	begin_expression(batch, "cmp");
	put_u32(batch, NFTA_CMP_SREG, reg);
	put_u32(batch, NFTA_CMP_OP, op);
	put_value(batch, NFTA_CMP_DATA, data, size);
	end_expression(batch);
}

/* As two comparisons, as nft(8) does: the expression "range" is for "outside of" only. */
void nft_range(struct nft_batch *batch, uint32_t reg, const void *from, const void *to,
	       uint32_t size)
{
	nft_cmp(batch, reg, NFT_CMP_GTE, from, size);
	nft_cmp(batch, reg, NFT_CMP_LTE, to, size);
}

void nft_load(struct nft_batch *batch, uint32_t reg, const void *data, uint32_t size)
{
	begin_expression(batch, "immediate");
	put_u32(batch, NFTA_IMMEDIATE_DREG, reg);
	put_value(batch, NFTA_IMMEDIATE_DATA, data, size);
	end_expression(batch);
}

void nft_lookup(struct nft_batch *batch, uint32_t map, uint32_t source, uint32_t reg)
{
	begin_expression(batch, "lookup");
	put_str(batch, NFTA_LOOKUP_SET, "__map%d");
	put_u32(batch, NFTA_LOOKUP_SET_ID, map);
	put_u32(batch, NFTA_LOOKUP_SREG, source);
	put_u32(batch, NFTA_LOOKUP_DREG, reg);
	end_expression(batch);
}

void nft_counter(struct nft_batch *batch)
{
	begin_expression(batch, "counter");
	end_expression(batch);
}

void nft_verdict(struct nft_batch *batch, int verdict)
{
	size_t data, nest;

	begin_expression(batch, "immediate");
	put_u32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = begin_nest(batch, NFTA_IMMEDIATE_DATA);
	nest = begin_nest(batch, NFTA_DATA_VERDICT);
	put_u32(batch, NFTA_VERDICT_CODE, (uint32_t)verdict);
	end_nest(batch, nest);
	end_nest(batch, data);
	end_expression(batch);
}

void nft_dnat(struct nft_batch *batch, uint8_t family, uint32_t address_reg, uint32_t port_reg)
{
	begin_expression(batch, "nat");
	put_u32(batch, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	put_u32(batch, NFTA_NAT_FAMILY, family);
	put_u32(batch, NFTA_NAT_REG_ADDR_MIN, address_reg);
	if (port_reg != 0)
		put_u32(batch, NFTA_NAT_REG_PROTO_MIN, port_reg);
	end_expression(batch);
}

void nft_masquerade(struct nft_batch *batch)
{
	begin_expression(batch, "masq");
	end_expression(batch);
}

void nft_xt_match(struct nft_batch *batch, const char *name, uint32_t revision, const void *info,
		  uint32_t size)
{
	begin_expression(batch, "match");
	put_str(batch, NFTA_MATCH_NAME, name);
	put_u32(batch, NFTA_MATCH_REV, revision);
	put(batch, NFTA_MATCH_INFO, info, size);
	end_expression(batch);
}
