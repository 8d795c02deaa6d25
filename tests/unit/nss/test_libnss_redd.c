/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of libnss_redd, called as by the C library, with every size of buffer.
 * tests/system/test_names.py tests that the C library loads and uses it.
 */
#include <sched.h>
#include <sys/mount.h>

#include "check.h"
#include "net/names.h"
#include "nss/libnss_redd.h"

#define CANARY 0x5a
#define BUFFER_MAX 2048

static bool is_private;

struct answer {
	enum nss_status status;
	int error, h_error;
	struct hostent host;
	struct gaih_addrtuple *tuples;
	_Alignas(16) char buffer[BUFFER_MAX];
};

static struct net_address address(const char *text)
{
	struct net_address address;

	assert_int_equal(net_address_parse(text, &address), 0);
	return address;
}

static int enter_private(void **state)
{
	struct net_address both[] = {address("10.0.0.2"), address("fd00::2"), address("10.0.0.3"),
				     address("fe80::1")};
	struct net_address one = address("fd00::18"), local = address("fe80::2");

	is_private = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		     mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0;
	if (!is_private)
		return 0;
	assert_int_equal(net_names_publish("web", both, ARRAY_SIZE(both)), 0);
	assert_int_equal(net_names_publish("six", &one, 1), 0);
	assert_int_equal(net_names_publish("local", &local, 1), 0);
	return 0;
}

static void ask_name(const char *name, int family, size_t size, size_t shift, struct answer *ret)
{
	memset(ret, 0, sizeof(*ret));
	memset(ret->buffer, CANARY, sizeof(ret->buffer));
	ret->status = _nss_redd_gethostbyname2_r(name, family, &ret->host, ret->buffer + shift,
						 size, &ret->error, &ret->h_error);
}

static void ask_tuples(const char *name, size_t size, size_t shift, struct answer *ret)
{
	int32_t ttl = -1;

	memset(ret, 0, sizeof(*ret));
	memset(ret->buffer, CANARY, sizeof(ret->buffer));
	ret->status = _nss_redd_gethostbyname4_r(name, &ret->tuples, ret->buffer + shift, size,
						 &ret->error, &ret->h_error, &ttl);
}

static void ask_address(const char *text, size_t size, size_t shift, struct answer *ret)
{
	struct net_address a = address(text);

	memset(ret, 0, sizeof(*ret));
	memset(ret->buffer, CANARY, sizeof(ret->buffer));
	ret->status = _nss_redd_gethostbyaddr_r(a.bytes, (socklen_t)net_address_size(&a), a.family,
						&ret->host, ret->buffer + shift, size, &ret->error,
						&ret->h_error);
}

static void need_private(void)
{
	if (!is_private)
		skip();
}

static void names_have_addresses(void **state)
{
	struct net_address want = address("10.0.0.3");
	struct answer a;

	need_private();
	ask_name("web", AF_INET, 512, 0, &a);
	assert_int_equal(a.status, NSS_STATUS_SUCCESS);
	assert_string_equal(a.host.h_name, "web");
	assert_int_equal(a.host.h_addrtype, AF_INET);
	assert_int_equal(a.host.h_length, 4);
	assert_null(a.host.h_aliases[0]);
	assert_non_null(a.host.h_addr_list[1]);
	assert_memory_equal(a.host.h_addr_list[1], want.bytes, 4);
	assert_null(a.host.h_addr_list[2]);
	ask_name("WEB", AF_INET6, 512, 0, &a);
	assert_int_equal(a.status, NSS_STATUS_SUCCESS);
	assert_int_equal(a.host.h_length, 16);
	assert_null(a.host.h_addr_list[1]);
	ask_tuples("web", 512, 0, &a);
	assert_int_equal(a.status, NSS_STATUS_SUCCESS);
	assert_int_equal(a.tuples->family, AF_INET);
	assert_int_equal(a.tuples->next->family, AF_INET6);
	assert_string_equal(a.tuples->next->next->name, "web");
	assert_null(a.tuples->next->next->next);
}

static void the_callers_first_tuple_is_used(void **state)
{
	struct gaih_addrtuple first = {.family = 77}, *tuples = &first;
	_Alignas(16) char buffer[512];
	int error, h_error;

	need_private();
	assert_int_equal(_nss_redd_gethostbyname4_r("web", &tuples, buffer, sizeof(buffer), &error,
						    &h_error, NULL),
			 NSS_STATUS_SUCCESS);
	assert_ptr_equal(tuples, &first);
	assert_int_equal(first.family, AF_INET);
	assert_non_null(first.next);
}

static void addresses_have_names(void **state)
{
	struct answer a;

	need_private();
	ask_address("fd00::18", 512, 0, &a);
	assert_int_equal(a.status, NSS_STATUS_SUCCESS);
	assert_string_equal(a.host.h_name, "six");
	ask_address("10.0.0.3", 512, 0, &a);
	assert_string_equal(a.host.h_name, "web");
	ask_address("10.0.0.4", 512, 0, &a);
	assert_int_equal(a.status, NSS_STATUS_NOTFOUND);
	assert_int_equal(a.h_error, HOST_NOT_FOUND);
	ask_address("fe80::1", 512, 0, &a);
	assert_int_equal(a.status, NSS_STATUS_NOTFOUND);
}

static void what_is_not_there(void **state)
{
	static const char *const unknown[] = {"nobody",	     "",     "../names/web", "web.",
					      "/etc/passwd", "w\nb", "example.com",  "\xff"};
	struct answer a;

	need_private();
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		ask_name(unknown[i], AF_INET, 512, 0, &a);
		assert_int_equal(a.status, NSS_STATUS_NOTFOUND);
		assert_int_equal(a.h_error, HOST_NOT_FOUND);
		ask_tuples(unknown[i], 512, 0, &a);
		assert_int_equal(a.status, NSS_STATUS_NOTFOUND);
	}
	ask_name("six", AF_INET, 512, 0, &a);
	assert_int_equal(a.status, NSS_STATUS_NOTFOUND);
	assert_int_equal(a.h_error, NO_DATA);
	ask_tuples("local", 512, 0, &a);
	assert_int_equal(a.status, NSS_STATUS_NOTFOUND);
	ask_name("web", AF_UNIX, 512, 0, &a);
	assert_int_equal(a.status, NSS_STATUS_UNAVAIL);
}

/* A buffer that is too small gives ERANGE, and nothing is written behind it; at any alignment. */
static void check_sizes(void (*ask)(size_t size, size_t shift, struct answer *ret))
{
	for (size_t shift = 0; shift < 16; shift++) {
		bool was_enough = false;
		struct answer a;

		for (size_t size = 0; size < 512; size++) {
			ask(size, shift, &a);
			for (size_t i = shift + size; i < sizeof(a.buffer); i++)
				assert_int_equal(a.buffer[i], CANARY);
			if (a.status == NSS_STATUS_SUCCESS) {
				was_enough = true;
				continue;
			}
			assert_false(was_enough);
			assert_int_equal(a.status, NSS_STATUS_TRYAGAIN);
			assert_int_equal(a.error, ERANGE);
			assert_int_equal(a.h_error, NETDB_INTERNAL);
		}
		assert_true(was_enough);
	}
}

static void size_of_name(size_t size, size_t shift, struct answer *ret)
{
	ask_name("web", AF_INET, size, shift, ret);
}

static void size_of_tuples(size_t size, size_t shift, struct answer *ret)
{
	ask_tuples("web", size, shift, ret);
}

static void size_of_address(size_t size, size_t shift, struct answer *ret)
{
	ask_address("fd00::2", size, shift, ret);
}

static void every_size_of_buffer(void **state)
{
	int before = fd_count();

	need_private();
	check_sizes(size_of_name);
	check_sizes(size_of_tuples);
	check_sizes(size_of_address);
	assert_int_equal(fd_count(), before);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_addresses),
		cmocka_unit_test(the_callers_first_tuple_is_used),
		cmocka_unit_test(addresses_have_names),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(every_size_of_buffer),
	};

	return cmocka_run_group_tests_name("nss/libnss_redd", tests, enter_private, NULL);
}
