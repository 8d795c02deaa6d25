/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's own resolvers: from resolv.conf(5), or where that names none, from the files of the
 * usual network managers. They are read again when a question comes, at most once a second; a watch
 * would wake an idle supervisor. Quiet. Supervisor's side.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "serve/link_internal.h"

#define FILE_MAX (64 * 1024)

static const char *const resolver_files[LINK_RESOLVER_FILES] = {
	"/etc/resolv.conf",
	"/run/systemd/resolve/resolv.conf",
	"/run/NetworkManager/no-stub-resolv.conf",
	"/run/resolvconf/resolv.conf",
	"/run/connman/resolv.conf",
};

socklen_t link_socket_address(const struct net_address *address, uint16_t port,
			      struct sockaddr_in6 *ret)
{
	struct sockaddr_in *four = (void *)ret;

	*ret = (struct sockaddr_in6){};
	if (address->family == AF_INET) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		four->sin_addr = address->v4;
		return sizeof(*four);
	}
	ret->sin6_family = AF_INET6;
	ret->sin6_port = htons(port);
	ret->sin6_addr = address->v6;
	return sizeof(*ret);
}

/* "192.0.2.1", "fe80::1%eth0". Our own address would only come back to us. */
static int parse_server(const struct link_service *service, char *text, struct sockaddr_in6 *ret)
{
	char *scope = strchr(text, '%');
	struct net_address address;

	if (scope)
		*scope++ = '\0';
	if (net_address_parse(text, &address) < 0 ||
	    net_address_equal(&address, &service->lease.host4) ||
	    net_address_equal(&address, &service->lease.host6))
		return -EINVAL;
	(void)link_socket_address(&address, DNS_PORT, ret);
	if (scope && address.family == AF_INET6)
		ret->sin6_scope_id = if_nametoindex(scope);
	return 0;
}

static void read_line(struct link_service *service, char *line)
{
	struct link_resolvers *resolvers = &service->resolvers;
	char *rest = NULL;
	const char *key = strtok_r(line, " \t", &rest);
	char *value = key && streq(key, "nameserver") ? strtok_r(NULL, " \t", &rest) : NULL;

	if (value && resolvers->count < LINK_RESOLVERS_MAX &&
	    parse_server(service, value, &resolvers->servers[resolvers->count]) == 0)
		resolvers->count++;
}

static void read_servers(struct link_service *service, const char *path)
{
	autofree char *text = NULL;
	char *rest = NULL;

	if (io_read_file_at(AT_FDCWD, path, FILE_MAX, &text, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
		read_line(service, line);
}

static struct link_file_mark mark_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct link_file_mark){};
	return (struct link_file_mark){{
		st.st_dev,
		st.st_ino,
		(uint64_t)st.st_size,
		(uint64_t)st.st_ctim.tv_sec,
		(uint64_t)st.st_ctim.tv_nsec,
		(uint64_t)st.st_mtim.tv_sec,
		(uint64_t)st.st_mtim.tv_nsec,
	}};
}

/* Whether one of the files has changed since they were read. */
static bool note_marks(struct link_resolvers *resolvers)
{
	bool is_changed = false;

	for (size_t i = 0; i < LINK_RESOLVER_FILES; i++) {
		struct link_file_mark mark = mark_of(resolver_files[i]);

		if (memcmp(&mark, &resolvers->marks[i], sizeof(mark)) != 0) {
			resolvers->marks[i] = mark;
			is_changed = true;
		}
	}
	return is_changed;
}

size_t link_resolvers_look(struct link_service *service)
{
	struct link_resolvers *resolvers = &service->resolvers;
	uint64_t now_us = time_monotonic_us();

	if (now_us < resolvers->look_us)
		return resolvers->count;
	resolvers->look_us = now_us + LINK_RESOLVERS_LOOK_US;
	if (!note_marks(resolvers))
		return resolvers->count;
	resolvers->count = 0;
	for (size_t i = 0; i < LINK_RESOLVER_FILES && resolvers->count == 0; i++)
		read_servers(service, resolver_files[i]);
	return resolvers->count;
}

int link_resolvers_connect(struct link_service *service, unsigned attempt, int type)
{
	const struct link_resolvers *resolvers = &service->resolvers;
	const struct sockaddr_in6 *server;
	autoclose int fd = -1;
	socklen_t size;

	if (resolvers->count == 0)
		return -EHOSTUNREACH;
	server = &resolvers->servers[attempt % resolvers->count];
	size = server->sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(*server);
	fd = socket(server->sin6_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    (connect(fd, (const struct sockaddr *)server, size) < 0 && errno != EINPROGRESS))
		return -errno;
	return take_fd(&fd);
}

bool link_resolvers_try_another(const struct link_service *service, unsigned tries, int rcode)
{
	return (rcode == DNS_RCODE_SERVFAIL || rcode == DNS_RCODE_NOTIMP ||
		rcode == DNS_RCODE_REFUSED) &&
	       tries < MIN(service->resolvers.count, (size_t)LINK_TRIES_MAX);
}

int link_random_id(uint16_t *ret)
{
	return getrandom(ret, sizeof(*ret), GRND_NONBLOCK) == sizeof(*ret) ? 0 : -EAGAIN;
}
