/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking published names up. Runs in any process of the host, as part of libnss_redd, in any of
 * its threads: must print nothing, keep nothing, and open no path that somebody else chose.
 */
#include "net/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "lib/io.h"
#include "lib/machine_name.h"
#include "lib/str.h"

#define FILE_MAX (NET_NAMES_ADDRESSES_MAX * NET_ADDRESS_TEXT)

/* The length of the name in front of the suffix, or 0 without one. */
static size_t stem_length(const char *name)
{
	size_t length = strlen(name), suffix = strlen(NET_NAMES_SUFFIX);

	if (length <= suffix || !net_name_equal(name + length - suffix, NET_NAMES_SUFFIX))
		return 0;
	return length - suffix;
}

/* A file that another version has published must not give an unsafe name. */
static bool is_published_name(const char *file)
{
	size_t stem = stem_length(file);
	char machine[MACHINE_NAME_MAX + 1];

	if (stem == 0)
		return machine_name_is_valid(file) && !net_name_is_reserved(file);
	if (stem > MACHINE_NAME_MAX)
		return false;
	memcpy(machine, file, stem);
	machine[stem] = '\0';
	return machine_name_is_valid(machine);
}

static int open_names(void)
{
	int fd = open(NET_NAMES_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int read_addresses(int dir, const char *name,
			  struct net_address ret[NET_NAMES_ADDRESSES_MAX])
{
	autofree char *text = NULL;
	char *rest = NULL;
	int count = 0;
	int r = io_read_file_at(dir, name, FILE_MAX, &text, NULL);

	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &rest); line && count < NET_NAMES_ADDRESSES_MAX;
	     line = strtok_r(NULL, "\n", &rest))
		if (net_address_parse(line, &ret[count]) == 0)
			count++;
	return count > 0 ? count : -ENOENT;
}

/* 1 when `each` accepted it, which ends the walk. */
typedef int (*name_fn)(int dir, const char *name, void *userdata);

static int walk_names(name_fn each, void *userdata)
{
	DIR *dir = opendir(NET_NAMES_DIR);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (entry = readdir(dir)))
		if (is_published_name(entry->d_name))
			r = each(dirfd(dir), entry->d_name, userdata);
	(void)closedir(dir);
	return r;
}

struct name_search {
	const char *name;
	const struct net_address *address;
	struct net_address *addresses;
	int count;
	char *found;
};

/* Whether the name is one that the file stands for: itself or, of a bare one, the full name. */
static bool stands_for(const char *file, const char *name)
{
	size_t stem = stem_length(name);
	autofree char *bare = stem > 0 ? strndup(name, stem) : NULL;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): freed by its attribute */
	return net_name_equal(file, name) ||
	       (bare && stem_length(file) == 0 && net_name_equal(file, bare));
}

static int match_name(int dir, const char *file, void *userdata)
{
	struct name_search *search = userdata;

	if (!stands_for(file, search->name))
		return 0;
	search->count = read_addresses(dir, file, search->addresses);
	return search->count > 0;
}

/* Tries the file of that very name first: nearly all questions are for that. */
static int find_exactly(int dir, const char *name, struct net_address ret[NET_NAMES_ADDRESSES_MAX])
{
	size_t stem = stem_length(name);
	autofree char *bare = stem > 0 ? strndup(name, stem) : NULL;
	int r = -ENOENT;

	if (bare && !net_name_is_reserved(bare))
		r = read_addresses(dir, bare, ret);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): freed by its attribute */
	return r == -ENOENT && is_published_name(name) ? read_addresses(dir, name, ret) : r;
}

int net_names_find(const char *name, struct net_address ret[NET_NAMES_ADDRESSES_MAX])
{
	struct name_search search = {.name = name, .addresses = ret};
	autoclose int dir = -1;
	int r;

	if (!is_published_name(name))
		return -ENOENT;
	dir = open_names();
	if (dir < 0)
		return dir;
	r = find_exactly(dir, name, ret);
	if (r != -ENOENT)
		return r;
	r = walk_names(match_name, &search);
	if (r < 0)
		return r;
	return r > 0 ? search.count : -ENOENT;
}

static int take_published(int dir, const char *file, void *userdata)
{
	struct name_search *search = userdata;
	autofree char *full = str_printf("%s" NET_NAMES_SUFFIX, search->name);

	if (!full)
		return -ENOMEM;
	if (!streq(file, full) && !streq(file, search->name))
		return 0;
	search->found = strdup(file);
	return search->found ? 1 : -ENOMEM;
}

char *net_names_published_as(const char *machine)
{
	struct name_search search = {.name = machine};

	(void)walk_names(take_published, &search);
	return search.found;
}

static int match_address(int dir, const char *name, void *userdata)
{
	struct net_address addresses[NET_NAMES_ADDRESSES_MAX];
	struct name_search *search = userdata;
	int count = read_addresses(dir, name, addresses);

	for (int i = 0; i < count; i++) {
		if (!net_address_equal(&addresses[i], search->address))
			continue;
		search->found = strdup(name);
		return search->found ? 1 : -ENOMEM;
	}
	return 0;
}

int net_names_find_address(const struct net_address *address, char **ret)
{
	struct name_search search = {.address = address};
	int r = walk_names(match_address, &search);

	if (r > 0)
		*ret = search.found;
	return r > 0 ? 0 : r < 0 ? r : -ENOENT;
}

static int add_name(int dir, const char *name, void *userdata)
{
	return strv_add((char ***)userdata, name);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int net_names_list(char ***ret)
{
	autostrv char **names = NULL;
	int r = walk_names(add_name, &names);

	if (r < 0)
		return r;
	if (names)
		qsort(names, strv_length(names), sizeof(*names), compare);
	*ret = take_ptr(names);
	return 0;
}
