/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages for the packet filter: their form, and parsing of untrusted attributes. */
#include "fake_netlink.h"
#include "kernel/nft.h"
#include "lib/str.h"

#define FAMILY NFPROTO_INET

static const struct nft_chain chain = {.family = FAMILY, .table = "t", .name = "c"};

/* Checks that each attribute ends within its parent, recursively; returns their number. */
static size_t count_attributes(const char *data, size_t size)
{
	size_t count = 0, at = 0;

	while (at < size) {
		const struct nlattr *attribute = (const struct nlattr *)(data + at);

		assert_true(attribute->nla_len >= NLA_HDRLEN && at + attribute->nla_len <= size);
		count++;
		if (attribute->nla_type & NLA_F_NESTED)
			count += count_attributes(data + at + NLA_HDRLEN,
						  attribute->nla_len - (size_t)NLA_HDRLEN);
		at += NLA_ALIGN(attribute->nla_len);
	}
	assert_int_equal(at, size);
	return count;
}

/* Checks that each message is complete; returns their number. */
static size_t count_messages(const struct nft_batch *batch)
{
	size_t count = 0, at = 0;

	while (at < batch->size) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)(batch->data + at);
		size_t head = NLMSG_SPACE(4);

		assert_true(header->nlmsg_len >= head && at + header->nlmsg_len <= batch->size);
		assert_int_equal(header->nlmsg_seq, count + 1);
		(void)count_attributes(batch->data + at + head, header->nlmsg_len - head);
		at += header->nlmsg_len;
		count++;
	}
	return count;
}

static void messages_are_whole(void **state)
{
	struct nft_batch batch = {};
	uint8_t mask[16] = {0xff};

	nft_add_table(&batch, FAMILY, "t", NFT_TABLE_F_OWNER, "comment");
	nft_add_chain(&batch, &(struct nft_chain){.family = FAMILY,
						  .table = "t",
						  .name = "c",
						  .type = "nat",
						  .hook = NF_INET_LOCAL_OUT,
						  .priority = -1});
	nft_begin_rule(&batch, &chain, true, "comment");
	nft_meta(&batch, NFT_META_OIFNAME, NFT_REG_1);
	nft_mask(&batch, NFT_REG_1, mask, sizeof(mask));
	nft_range(&batch, NFT_REG_1, mask, mask, 1);
	nft_verdict(&batch, NF_ACCEPT);
	nft_end_rule(&batch);
	nft_delete_rule(&batch, &chain, 7);
	nft_delete_table(&batch, FAMILY, "t");
	nft_delete_table_by_handle(&batch, FAMILY, 9);
	assert_int_equal(batch.error, 0);
	assert_int_equal(count_messages(&batch), 7);
	nft_batch_done(&batch);
	assert_null(batch.data);
}

/* The length of an attribute has 16 bits: a map of all ports takes many messages. */
static void a_large_map_is_split(void **state)
{
	struct nft_batch batch = {};

	assert_int_equal(nft_add_port_map(&batch, &chain, 1, 65535, 1), 1);
	assert_int_equal(nft_add_port_map(&batch, &chain, 1, 1, 2), 2);
	assert_int_equal(batch.error, 0);
	assert_int_equal(count_messages(&batch), 1 + 1 + 64 + 2);
	nft_batch_done(&batch);
}

static void a_batch_without_socket_is_an_error(void **state)
{
	struct nft_batch batch = {};
	int refused;

	nft_add_table(&batch, FAMILY, "t", 0, NULL);
	assert_int_equal(nft_batch_send(-1, &batch, &refused), -EBADF);
	assert_int_equal(refused, -1);
	assert_null(batch.data);
}

static void attributes_are_found(void **state)
{
	union {
		uint8_t bytes[24];
		struct nlattr first;
	} data = {.bytes = {8, 0, 2, 0, 0, 0, 1, 2, 7, 0, 1, 0, 'a', 'b', 0, 0, 5, 0, 99, 0, 1}};
	const struct nlattr *of[3];

	nft_parse(&data.first, sizeof(data.bytes), of, 3);
	assert_null(of[0]);
	assert_string_equal(nft_text(of[1]), "ab");
	assert_int_equal(nft_u32(of[2]), 0x102);
	assert_int_equal(nft_u64(of[2]), 0);
	assert_string_equal(nft_text(NULL), "");
	assert_string_equal(nft_text(of[2]), "");
	assert_int_equal(nft_u32(NULL), 0);
}

/* Whatever the lengths, nothing outside is read; sanitizers would notice. */
static void broken_attributes_end_the_list(void **state)
{
	for (unsigned length = 0; length < 40; length++) {
		struct nlattr *data = malloc(12);
		const struct nlattr *of[3], *each = NULL;
		size_t seen = 0;

		memset(data, 0, 12);
		data->nla_len = 12;
		((struct nlattr *)((char *)data + 4))->nla_len = (uint16_t)length;
		((struct nlattr *)((char *)data + 4))->nla_type = 1;
		nft_parse_nested(data, of, 3);
		while ((each = nft_next(data, each)))
			seen++;
		assert_int_equal(seen, length >= 4 && length <= 8 ? 1 : 0);
		assert_int_equal(of[1] != NULL, seen);
		free(data);
	}
}

static void comments_are_found(void **state)
{
	static const struct {
		uint8_t bytes[16];
		uint8_t size;
		const char *comment;
	} rows[] = {
		{{0, 4, 'a', 'b', 'c', 0}, 6, "abc"},
		{{1, 1, 9, 0, 3, 'x', 'y', 0}, 8, "xy"},
		{{0, 200, 'a'}, 3, ""},	     /* longer than the data */
		{{0, 2, 'a', 'b'}, 4, "ab"}, /* not terminated */
		{{0}, 1, ""},
		{{0}, 0, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct nlattr *data = malloc((size_t)NLA_HDRLEN + rows[i].size);
		char comment[8];

		data->nla_len = (uint16_t)(NLA_HDRLEN + rows[i].size);
		memcpy((char *)data + NLA_HDRLEN, rows[i].bytes, rows[i].size);
		nft_comment(data, comment, sizeof(comment));
		assert_string_equal(comment, rows[i].comment);
		free(data);
	}
}

#define SOME_TABLE (10 << 8 | NFT_MSG_NEWTABLE)

static int count_object(void *context, uint8_t family, const struct nlattr *attributes, size_t size)
{
	(*(int *)context)++;
	return 0;
}

/*
 * security row: N19
 * attack: a listing of links or rules that is truncated, or half old and half new, is taken for a
 * complete one defence: an interrupted dump is repeated, and an error at its end is an error
 */
static void an_interrupted_listing_is_an_error(void **state)
{
	struct nft_query all = {};
	int ends[2], seen = 0;

	fake_netlink_open(ends);
	fake_netlink_dump(ends[1], SOME_TABLE, 0, 0);
	assert_int_equal(nft_list(ends[0], NFT_MSG_GETTABLE, &all, count_object, &seen), 0);
	fake_netlink_dump(ends[1], SOME_TABLE, NLM_F_DUMP_INTR, 0);
	assert_int_equal(nft_list(ends[0], NFT_MSG_GETTABLE, &all, count_object, &seen), -EINTR);
	fake_netlink_say(ends[1], SOME_TABLE, NLM_F_MULTI | NLM_F_DUMP_INTR, 0);
	fake_netlink_dump(ends[1], SOME_TABLE, 0, 0);
	assert_int_equal(nft_list(ends[0], NFT_MSG_GETTABLE, &all, count_object, &seen), -EINTR);
	assert_int_equal(seen, 4);
	fake_netlink_close(ends);
}

static void a_listing_that_failed_half_way_is_an_error(void **state)
{
	struct nft_query all = {};
	int ends[2], seen = 0;

	fake_netlink_open(ends);
	fake_netlink_say(ends[1], SOME_TABLE, NLM_F_MULTI, 0);
	fake_netlink_say(ends[1], NLMSG_DONE, NLM_F_MULTI, -ENOMEM);
	assert_int_equal(nft_list(ends[0], NFT_MSG_GETTABLE, &all, count_object, &seen), -ENOMEM);
	fake_netlink_close(ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_whole),
		cmocka_unit_test(a_large_map_is_split),
		cmocka_unit_test(a_batch_without_socket_is_an_error),
		cmocka_unit_test(attributes_are_found),
		cmocka_unit_test(broken_attributes_end_the_list),
		cmocka_unit_test(comments_are_found),
		cmocka_unit_test(an_interrupted_listing_is_an_error),
		cmocka_unit_test(a_listing_that_failed_half_way_is_an_error),
	};

	return cmocka_run_group_tests_name("nft", tests, NULL, NULL);
}
