/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds out who has a port: /proc/net/{tcp,tcp6,udp,udp6} give the inode of the socket, /proc the
 * process that has it open, and the registry the machine that this process supervises. Source:
 * proc_net(5). Either side.
 */
#include "serve/port_owner.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/io.h"
#include "lib/macro.h"
#include "lib/parse.h"
#include "lib/str.h"
#include "machine/registry.h"

#define TCP_STATE_LISTEN 0x0a
#define NOBODY "the kernel, or a process that can't be seen from here"

/* One line of a table. */
struct entry {
	struct net_address address; /* all zeroes: bound to all of them */
	uint16_t port;
	unsigned state;
	uint64_t inode;
};

/* 1 ends the search. */
typedef int (*entry_fn)(const struct entry *entry, void *userdata);

/* "0100007F:1F90": 32-bit words as this machine stores them. */
static bool parse_end(const char *text, struct entry *entry)
{
	const char *colon = strchr(text, ':');
	size_t words = colon ? (size_t)(colon - text) / 8 : 0;

	if (words != 1 && words != 4)
		return false;
	entry->address = (struct net_address){.family = words == 1 ? AF_INET : AF_INET6};
	for (size_t i = 0; i < words; i++) {
		char digits[9] = {};
		uint32_t word;

		memcpy(digits, text + 8 * i, 8);
		word = (uint32_t)strtoul(digits, NULL, 16);
		memcpy(entry->address.bytes + 4 * i, &word, sizeof(word));
	}
	entry->port = (uint16_t)strtoul(colon + 1, NULL, 16);
	return true;
}

/* The columns that count. The heading is no line of a socket: its second word has no colon. */
static bool parse_line(char *line, struct entry *ret)
{
	enum { LOCAL = 1, STATE = 3, INODE = 9, COLUMNS };
	char *columns[COLUMNS] = {};
	char *rest = NULL;
	size_t count = 0;

	for (char *word = strtok_r(line, " \n", &rest); word && count < COLUMNS;
	     word = strtok_r(NULL, " \n", &rest))
		columns[count++] = word;
	if (count < COLUMNS)
		return false;
	ret->state = (unsigned)strtoul(columns[STATE], NULL, 16);
	ret->inode = strtoull(columns[INODE], NULL, 10);
	return parse_end(columns[LOCAL], ret);
}

/* A dual-stack socket tells an IPv4 address as ::ffff:a.b.c.d. */
static void unmap(struct net_address *address)
{
	struct in6_addr v6 = address->v6;

	if (address->family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6))
		return;
	*address = (struct net_address){.family = AF_INET};
	memcpy(address->bytes, v6.s6_addr + 12, 4);
}

static bool is_all(const struct net_address *address)
{
	static const uint8_t zeroes[16];

	return memcmp(address->bytes, zeroes, net_address_size(address)) == 0;
}

static bool matches(const struct port_query *query, struct entry *entry)
{
	if (entry->port < query->first || entry->port > query->last)
		return false;
	unmap(&entry->address);
	return !net_address_is_set(&query->address) || is_all(&entry->address) ||
	       net_address_equal(&query->address, &entry->address);
}

static int walk_table(const char *path, const struct port_query *query, entry_fn fn, void *userdata)
{
	FILE *table = fopen(path, "re");
	char line[512];
	int r = 0;

	/* The file is missing without IPv6. */
	if (!table)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && fgets(line, sizeof(line), table)) {
		struct entry entry = {};

		if (parse_line(line, &entry) && matches(query, &entry))
			r = fn(&entry, userdata);
	}
	(void)fclose(table);
	return r;
}

static int walk_tables(const struct port_query *query, entry_fn fn, void *userdata)
{
	static const char *const tcp[] = {"/proc/net/tcp", "/proc/net/tcp6"};
	static const char *const udp[] = {"/proc/net/udp", "/proc/net/udp6"};
	const char *const *paths = query->protocol == IPPROTO_TCP   ? tcp
				   : query->protocol == IPPROTO_UDP ? udp
								    : NULL;
	int r;

	if (!paths)
		return -EPROTONOSUPPORT;
	r = walk_table(paths[0], query, fn, userdata);
	return r != 0 ? r : walk_table(paths[1], query, fn, userdata);
}

struct taken {
	int protocol;
	uint16_t port;
};

static int note_taken(const struct entry *entry, void *userdata)
{
	struct taken *taken = userdata;

	if (taken->protocol == IPPROTO_TCP && entry->state != TCP_STATE_LISTEN)
		return 0;
	taken->port = entry->port;
	return 1;
}

int port_owner_find_taken(const struct port_query *query, uint16_t *ret)
{
	struct taken taken = {.protocol = query->protocol};
	int r = walk_tables(query, note_taken, &taken);

	if (r > 0)
		*ret = taken.port;
	return r;
}

/* A listening socket is certainly the owner; others, such as a connection's end, may be. */
static int note_inode(const struct entry *entry, void *userdata)
{
	uint64_t *inode = userdata;

	if (entry->inode == 0)
		return 0;
	*inode = entry->inode;
	return entry->state == TCP_STATE_LISTEN;
}

static bool has_socket(int proc, const char *pid, const char *wanted)
{
	autofree char *path = str_printf("%s/fd", pid);
	int fd = path ? openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	bool found = false;

	if (!folder) {
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	for (struct dirent *entry; !found && (entry = readdir(folder));) {
		char target[64];
		ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		found = streq(target, wanted);
	}
	(void)closedir(folder);
	return found;
}

/* 0: none. */
static pid_t find_process(uint64_t inode)
{
	char wanted[48];
	DIR *proc = opendir("/proc");
	pid_t pid = 0;

	if (!proc)
		return 0;
	(void)snprintf(wanted, sizeof(wanted), "socket:[%llu]", (unsigned long long)inode);
	for (struct dirent *entry; pid == 0 && (entry = readdir(proc));)
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    has_socket(dirfd(proc), entry->d_name, wanted))
			pid = (pid_t)strtol(entry->d_name, NULL, 10);
	(void)closedir(proc);
	return pid;
}

/* The machine that it supervises: a new string, or NULL. */
static char *find_machine(pid_t pid)
{
	struct machine_state *list = NULL;
	size_t count = 0;
	char *name = NULL;

	if (machine_list(&list, &count) < 0)
		return NULL;
	for (size_t i = 0; i < count && !name; i++)
		if (list[i].supervisor == pid)
			name = str_printf("machine %s", list[i].name);
	machine_list_free(list, count);
	return name;
}

static bool find_overlap(char *const *forwards, const struct net_port *port, struct net_port *other)
{
	for (; forwards && *forwards; forwards++)
		if (net_port_parse(*forwards, other) == 0 && net_port_overlaps(other, port))
			return true;
	return false;
}

int port_owner_find_forward(const char *self, const struct net_port *port, uint16_t *ret,
			    char **ret_owner)
{
	struct machine_state *list = NULL;
	struct net_port other = {};
	size_t count = 0, i = 0;
	int r = machine_list(&list, &count);

	if (r < 0)
		return r;
	while (i < count &&
	       (streq(list[i].name, self) || !find_overlap(list[i].ports, port, &other)))
		i++;
	if (i < count) {
		*ret = MAX(port->first, other.first);
		*ret_owner = str_printf("machine %s", list[i].name);
		r = *ret_owner ? 1 : -ENOMEM;
	}
	machine_list_free(list, count);
	return r;
}

static char *name_process(pid_t pid)
{
	autofree char *path = str_printf("/proc/%d/comm", (int)pid);
	autofree char *comm = NULL;

	if (!path || io_read_file_at(AT_FDCWD, path, 256, &comm, NULL) < 0)
		return str_printf("process %d", (int)pid);
	comm[strcspn(comm, "\n")] = '\0';
	return str_printf("%s (process %d)", comm, (int)pid);
}

int port_owner_find(const struct port_query *query, char **ret)
{
	autofree char *owner = NULL;
	uint64_t inode = 0;
	int r = walk_tables(query, note_inode, &inode);
	pid_t pid = r >= 0 && inode > 0 ? find_process(inode) : 0;

	if (r < 0)
		return r;
	if (pid == 0)
		owner = strdup(NOBODY);
	else if (pid == getpid())
		owner = strdup("this machine itself");
	else
		owner = find_machine(pid);
	if (!owner)
		owner = name_process(pid);
	if (!owner)
		return -ENOMEM;
	*ret = take_ptr(owner);
	return 0;
}
