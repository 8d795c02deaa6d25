/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interfaces of the host that are lent to a machine. What is lent is written down, "INDEX NAME" for
 * each in NETWORK_DIR/moved/MACHINE; a name in the file system, NETWORK_DIR/netns/MACHINE, keeps
 * the machine's network namespace until they are back, also when supervisor and machine were killed
 * (hardware would come back by itself, under the name the machine gave it; all else would be gone).
 * An interface is known by its number there, which the guest can't change. Supervisor's side.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "host/network/network.h"
#include "lib/fs.h"
#include "lib/io.h"
#include "lib/str.h"
#include "log/log.h"
#include "machine/registry.h"

#define RECORD_MAX (64 * 1024)

static char *record_path(const char *machine)
{
	return str_printf(NETWORK_DIR "/moved/%s", machine);
}

static char *netns_path(const char *machine)
{
	return str_printf(NETWORK_DIR "/netns/%s", machine);
}

/* In the mount namespace `home`, where the next command looks, not in this boot's own. */
static int pin(const char *machine, pid_t pid, int home)
{
	autofree char *target = netns_path(machine);
	autofree char *source = str_printf("/proc/%d/ns/net", (int)pid);
	autoclose int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	autoclose int file = -1;
	int r = 0;

	if (!target || !source)
		return -ENOMEM;
	if (own < 0 || setns(home, CLONE_NEWNS) < 0)
		return -errno;
	file = open(target, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0 || mount(source, target, NULL, MS_BIND, NULL) < 0)
		r = -errno;
	if (setns(own, CLONE_NEWNS) < 0)
		return -errno;
	return r;
}

static void unpin(const char *machine)
{
	autofree char *target = netns_path(machine);

	if (!target)
		return;
	(void)umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW);
	(void)unlink(target);
}

/* Into the namespace, under that name (NULL: the one it has). */
static int move(int rtnl, int index, int netns, const char *name)
{
	struct ifinfomsg link = {.ifi_index = index};
	struct rtnl_message message;

	rtnl_begin(&message, RTM_NEWLINK, 0, &link, sizeof(link));
	rtnl_put_u32(&message, IFLA_NET_NS_FD, (uint32_t)netns);
	if (name)
		rtnl_put_str(&message, IFLA_IFNAME, name);
	return rtnl_call(rtnl, &message);
}

static int rename_link(int rtnl, int index, const char *name)
{
	struct ifinfomsg link = {.ifi_index = index};
	struct rtnl_message message;

	rtnl_begin(&message, RTM_NEWLINK, 0, &link, sizeof(link));
	rtnl_put_str(&message, IFLA_IFNAME, name);
	return rtnl_call(rtnl, &message);
}

/* -EINVAL: an interface that belongs to a radio moves with that, under the name it has. */
static int move_with_radio(int rtnl, int netns_now, int index, int netns, const char *name)
{
	int r = name ? rename_link(rtnl, index, name) : 0;

	return r < 0 ? r : network_move_radio(netns_now, index, netns);
}

/* The name may be taken meanwhile: better under another than not at all. */
static void give_back(int inside, int netns, int home, int index, const char *name)
{
	int r = move(inside, index, home, name);

	if (r == -EEXIST)
		r = move(inside, index, home, "back%d");
	if (r == -EINVAL)
		r = move_with_radio(inside, netns, index, home, name);
	if (r < 0 && r != -ENODEV)
		log_warning_errno(r, "give interface %s back to the host", name);
}

static int give_back_all(int inside, int netns, const char *record)
{
	autoclose int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	autostrv char **lines = NULL;
	int r = home < 0 ? -errno : strv_split(record, "\n", &lines);

	if (r < 0)
		return r;
	for (size_t i = strv_length(lines); i-- > 0;) {
		char *name = NULL;
		long index = strtol(lines[i], &name, 10);

		if (index > 0 && *name == ' ')
			give_back(inside, netns, home, (int)index, name + 1);
	}
	return 0;
}

/* Whoever tries again may succeed: their namespace, which holds the interfaces, must stay. */
static bool is_passing(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

int network_return_links(const char *machine)
{
	autofree char *path = record_path(machine);
	autofree char *pinned = netns_path(machine);
	autofree char *record = NULL;
	autoclose int netns = -1;
	autoclose int inside = -1;
	int r = path && pinned ? io_read_file_at(AT_FDCWD, path, RECORD_MAX, &record, NULL)
			       : -ENOMEM;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	netns = open(pinned, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	inside = netns < 0 ? -errno : network_open_socket_in(netns, NETLINK_ROUTE);
	r = inside < 0 ? inside : give_back_all(inside, netns, record);
	if (is_passing(r))
		return r;
	unpin(machine);
	(void)unlink(path);
	return 0;
}

static int write_record(const char *machine, const struct buf *record)
{
	autofree char *path = record_path(machine);

	if (!path || record->error < 0)
		return -ENOMEM;
	return io_replace_file_at(AT_FDCWD, path, record->data, 0600, false);
}

/* Where the radio's other interfaces go too, this one keeps its name at first. */
static int move_in(int rtnl, const struct host *host, const struct network_link *link,
		   const struct spec_link *wanted, int netns)
{
	int r = move(rtnl, link->index, netns, wanted->guest);
	struct network_link inside = {};

	if (r != -EINVAL)
		return r;
	r = network_move_radio(-1, link->index, netns);
	if (r < 0 || !wanted->guest)
		return r;
	r = network_find_link(host->guest_rtnl_fd, link->name, &inside);
	return r < 0 ? r : rename_link(host->guest_rtnl_fd, inside.index, wanted->guest);
}

static int lend(int rtnl, struct host *host, const struct spec_link *wanted, int netns,
		struct buf *record)
{
	const char *machine = host->spec->machine;
	struct network_link link = {}, inside = {};
	size_t before = record->size;
	int r = network_find_link(rtnl, wanted->host, &link);

	if (r < 0)
		return r;
	/* First, lest a crash in between loses it; then as it turned out. */
	buf_printf(record, "%d %s\n", link.index, link.name);
	r = write_record(machine, record);
	if (r >= 0)
		r = move_in(rtnl, host, &link, wanted, netns);
	if (r >= 0)
		r = network_find_link(host->guest_rtnl_fd,
				      wanted->guest ? wanted->guest : link.name, &inside);
	if (r < 0 || inside.index == link.index)
		return r;
	record->size = before;
	buf_printf(record, "%d %s\n", inside.index, link.name);
	return write_record(machine, record);
}

static int make_dirs(void)
{
	int r = fs_make_dirs(NETWORK_DIR "/moved", 0700);

	return r < 0 ? r : fs_make_dirs(NETWORK_DIR "/netns", 0700);
}

static int log_failure(const struct host *host, const struct spec_link *link, int error)
{
	if (error == -EEXIST)
		return log_error(error,
				 "give interface %s to machine %s: its name is in use there. Say "
				 "another: --network-interface=%s:NAME",
				 link->host, host->spec->machine, link->host);
	if (error == -EINVAL)
		return log_error(error,
				 "give interface %s to machine %s: the kernel can't move it to "
				 "another network namespace. --network-macvlan=%s shares it",
				 link->host, host->spec->machine, link->host);
	return log_errno(error, "give interface %s to machine %s", link->host, host->spec->machine);
}

int network_lend_links(int rtnl, struct host *host)
{
	const struct spec *spec = host->spec;
	autobuf struct buf record = {};
	autoclose int netns = -1;
	int r = 0;

	for (size_t i = 0; i < spec->link_count && r >= 0; i++) {
		if (spec->links[i].kind != SPEC_LINK_INTERFACE)
			continue;
		if (netns < 0) {
			netns = network_open_netns_of(host->holder_pid);
			r = netns < 0 ? netns : make_dirs();
			if (r >= 0)
				r = pin(spec->machine, host->holder_pid, host->home_mount_ns_fd);
			if (r < 0)
				return log_errno(r, "keep the network namespace of machine %s",
						 spec->machine);
		}
		r = lend(rtnl, host, &spec->links[i], netns, &record);
		if (r < 0)
			return log_failure(host, &spec->links[i], r);
	}
	return 0;
}

static void return_after_crash(const char *machine)
{
	autofree char *path = record_path(machine);

	if (path)
		io_remove_temporaries_at(AT_FDCWD, path);
	if (network_return_links(machine) >= 0)
		unpin(machine);
}

void network_return_clean(void)
{
	DIR *dir = opendir(NETWORK_DIR "/netns");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !network_is_alive(entry->d_name))
			return_after_crash(entry->d_name);
	if (dir)
		(void)closedir(dir);
}
