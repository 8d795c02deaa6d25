/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SipHash-2-4, with the test vectors of its authors: key 00…0f, data 00, 01, …. */
#include "check.h"
#include "lib/hash.h"

static const uint64_t vectors[] = {
	UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
	UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
	UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
	UINT64_C(0x9e0082df0ba9e4b0), UINT64_C(0x7a5dbbc594ddb9f3), UINT64_C(0xf4b32f46226bada7),
	UINT64_C(0x751e8fbc860ee5fb), UINT64_C(0x14ea5627c0843d90), UINT64_C(0xf723ca908e7af2ee),
	UINT64_C(0xa129ca6149be45e5),
};

static void test_published_vectors(void **state)
{
	uint8_t key[16], data[ARRAY_SIZE(vectors)];

	for (uint8_t i = 0; i < 16; i++)
		key[i] = i;
	for (uint8_t i = 0; i < ARRAY_SIZE(data); i++)
		data[i] = i;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		assert_int_equal(hash_siphash24(data, i, key), vectors[i]);
}

static void test_unaligned_and_long(void **state)
{
	static const uint8_t key[16] = {1};
	char text[301];

	memset(text, 'x', sizeof(text));
	assert_int_equal(hash_siphash24(text, 300, key), hash_siphash24(text + 1, 300, key));
	assert_int_not_equal(hash_siphash24(text, 300, key), hash_siphash24(text, 44, key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_vectors),
		cmocka_unit_test(test_unaligned_and_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
