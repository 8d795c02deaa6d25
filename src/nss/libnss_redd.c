/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libnss_redd: names of running machines for every program of the host that asks the C library.
 * Must never print, lock, or keep anything: it runs in processes that know nothing of it.
 */
#include "nss/libnss_redd.h"

#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "net/names.h"

/* A machine that is started again may have moved. */
#define TTL_S 0

/* What is left of the caller's buffer. */
struct area {
	char *data;
	size_t size;
};

static void *area_take(struct area *area, size_t size, size_t alignment)
{
	size_t padding = -(uintptr_t)area->data & (alignment - 1);
	char *taken = area->data + padding;

	if (area->size < padding || area->size - padding < size)
		return NULL;
	area->data = taken + size;
	area->size -= padding + size;
	return taken;
}

static char *area_copy(struct area *area, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = area_take(area, size, 1);

	return copy ? memcpy(copy, text, size) : NULL;
}

static enum nss_status fail(int error, int *errnop, int *h_errnop)
{
	*errnop = -error;
	switch (error) {
	case -ENOENT:
		*h_errnop = HOST_NOT_FOUND;
		return NSS_STATUS_NOTFOUND;
	case -ENODATA: /* the name is there, but not in this family */
		*h_errnop = NO_DATA;
		return NSS_STATUS_NOTFOUND;
	case -ERANGE:
		*h_errnop = NETDB_INTERNAL;
		return NSS_STATUS_TRYAGAIN;
	default:
		*h_errnop = NO_RECOVERY;
		return NSS_STATUS_UNAVAIL;
	}
}

/* A link-local address means nothing without its link, which nobody asked for. */
static bool is_usable(const struct net_address *address, int family)
{
	return (family == AF_UNSPEC || address->family == family) &&
	       !(address->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address->v6));
}

/* Those of the family (AF_UNSPEC: all), their number, or -errno. */
static int find(const char *name, int family, struct net_address ret[NET_NAMES_ADDRESSES_MAX])
{
	int count = net_names_find(name, ret), kept = 0;

	for (int i = 0; i < count; i++)
		if (is_usable(&ret[i], family))
			ret[kept++] = ret[i];
	return count < 0 ? count : kept > 0 ? kept : -ENODATA;
}

static int put_host(const char *name, const struct net_address *addresses, int count,
		    struct hostent *host, struct area *area)
{
	size_t length = net_address_size(&addresses[0]);
	char **pointers = area_take(area, ((size_t)count + 2) * sizeof(char *), _Alignof(char *));
	char *bytes = area_take(area, (size_t)count * length, _Alignof(struct in6_addr));
	char *copy = area_copy(area, name);

	if (!pointers || !bytes || !copy)
		return -ERANGE;
	for (int i = 0; i < count; i++) {
		pointers[i] = bytes + (size_t)i * length;
		memcpy(pointers[i], addresses[i].bytes, length);
	}
	pointers[count] = pointers[count + 1] = NULL;
	*host = (struct hostent){
		.h_name = copy,
		.h_aliases = pointers + count + 1,
		.h_addrtype = addresses[0].family,
		.h_length = (int)length,
		.h_addr_list = pointers,
	};
	return 0;
}

/* The first goes where the caller has room for one, if it has. */
static int put_tuples(const char *name, const struct net_address *addresses, int count,
		      struct gaih_addrtuple **tuples, struct area *area)
{
	struct gaih_addrtuple *list =
		area_take(area, (size_t)count * sizeof(*list), _Alignof(struct gaih_addrtuple));
	char *copy = area_copy(area, name);

	if (!list || !copy)
		return -ERANGE;
	for (int i = 0; i < count; i++) {
		list[i] = (struct gaih_addrtuple){
			.next = i + 1 < count ? &list[i + 1] : NULL,
			.name = copy,
			.family = addresses[i].family,
		};
		memcpy(list[i].addr, addresses[i].bytes, net_address_size(&addresses[i]));
	}
	if (*tuples)
		**tuples = list[0];
	else
		*tuples = list;
	return 0;
}

enum nss_status _nss_redd_gethostbyname4_r(const char *name, struct gaih_addrtuple **tuples,
					   char *buffer, size_t size, int *errnop, int *h_errnop,
					   int32_t *ttlp)
{
	struct net_address addresses[NET_NAMES_ADDRESSES_MAX];
	struct area area = {buffer, size};
	int count = find(name, AF_UNSPEC, addresses);
	int r = count < 0 ? count : put_tuples(name, addresses, count, tuples, &area);

	if (r < 0)
		return fail(r, errnop, h_errnop);
	if (ttlp)
		*ttlp = TTL_S;
	*h_errnop = NETDB_SUCCESS;
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_redd_gethostbyname3_r(const char *name, int family, struct hostent *host,
					   char *buffer, size_t size, int *errnop, int *h_errnop,
					   int32_t *ttlp, char **canonp)
{
	struct net_address addresses[NET_NAMES_ADDRESSES_MAX];
	struct area area = {buffer, size};
	int r;

	if (family == AF_UNSPEC)
		family = AF_INET;
	if (family != AF_INET && family != AF_INET6)
		return fail(-EAFNOSUPPORT, errnop, h_errnop);
	r = find(name, family, addresses);
	if (r >= 0)
		r = put_host(name, addresses, r, host, &area);
	if (r < 0)
		return fail(r, errnop, h_errnop);
	if (ttlp)
		*ttlp = TTL_S;
	if (canonp)
		*canonp = host->h_name;
	*h_errnop = NETDB_SUCCESS;
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_redd_gethostbyname2_r(const char *name, int family, struct hostent *host,
					   char *buffer, size_t size, int *errnop, int *h_errnop)
{
	return _nss_redd_gethostbyname3_r(name, family, host, buffer, size, errnop, h_errnop, NULL,
					  NULL);
}

enum nss_status _nss_redd_gethostbyname_r(const char *name, struct hostent *host, char *buffer,
					  size_t size, int *errnop, int *h_errnop)
{
	return _nss_redd_gethostbyname3_r(name, AF_INET, host, buffer, size, errnop, h_errnop, NULL,
					  NULL);
}

enum nss_status _nss_redd_gethostbyaddr2_r(const void *address, socklen_t length, int family,
					   struct hostent *host, char *buffer, size_t size,
					   int *errnop, int *h_errnop, int32_t *ttlp)
{
	struct net_address wanted = {.family = family};
	struct area area = {buffer, size};
	autofree char *name = NULL;
	int r;

	if (net_address_size(&wanted) == 0)
		return fail(-EAFNOSUPPORT, errnop, h_errnop);
	if (length != net_address_size(&wanted))
		return fail(-EINVAL, errnop, h_errnop);
	memcpy(wanted.bytes, address, length);
	r = is_usable(&wanted, family) ? net_names_find_address(&wanted, &name) : -ENOENT;
	if (r >= 0)
		r = put_host(name, &wanted, 1, host, &area);
	if (r < 0)
		return fail(r, errnop, h_errnop);
	if (ttlp)
		*ttlp = TTL_S;
	*h_errnop = NETDB_SUCCESS;
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_redd_gethostbyaddr_r(const void *address, socklen_t length, int family,
					  struct hostent *host, char *buffer, size_t size,
					  int *errnop, int *h_errnop)
{
	return _nss_redd_gethostbyaddr2_r(address, length, family, host, buffer, size, errnop,
					  h_errnop, NULL);
}
