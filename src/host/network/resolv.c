/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /etc/resolv.conf of the machine. What the tree has there is the guest's choice: it is looked at,
 * never followed out of the tree, and never a reason not to start. Before people's own mounts, so
 * that nothing is written to what they mount. Supervisor's side.
 */
#include "host/network/resolv.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "host/host.h"
#include "kernel/sys.h"
#include "lib/io.h"
#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define UPLINK "/run/systemd/resolve/resolv.conf"
#define SHADOW "resolv.conf" /* in /run/host */
#define RESOLV_MAX (64 * 1024)

static const char *const host_files[] = {
	[SPEC_RESOLV_CONF_HOST] = RESOLV_CONF,
	[SPEC_RESOLV_CONF_STATIC] = "/usr/lib/systemd/resolv.conf",
	[SPEC_RESOLV_CONF_UPLINK] = UPLINK,
	[SPEC_RESOLV_CONF_STUB] = "/run/systemd/resolve/stub-resolv.conf",
};

char *resolv_conf_text(const struct net_address *servers, size_t count)
{
	autobuf struct buf b = {};
	char text[NET_ADDRESS_TEXT];
	char *whole;

	for (size_t i = 0; i < count; i++)
		if (net_address_is_set(&servers[i]))
			buf_printf(&b, "nameserver %s\n", net_address_format(&servers[i], text));
	return buf_take(&b, &whole) < 0 ? NULL : whole;
}

/* 1 an address of the host itself, 0 another, -ENOENT: no line of that kind. */
static int line_is_local(char *line)
{
	static const char blanks[] = " \t\r";
	struct net_address address;
	char *rest = NULL, *word = strtok_r(line, blanks, &rest);

	if (!word || !streq(word, "nameserver"))
		return -ENOENT;
	word = strtok_r(NULL, blanks, &rest);
	if (!word || net_address_parse(word, &address) < 0)
		return -ENOENT;
	return address.family == AF_INET ? address.bytes[0] == 127
					 : IN6_IS_ADDR_LOOPBACK(&address.v6);
}

bool resolv_conf_is_local(const char *text)
{
	autofree char *copy = strdup(text);
	char *rest = NULL;
	bool is_local = false;

	for (char *line = copy ? strtok_r(copy, "\n", &rest) : NULL; line;
	     line = strtok_r(NULL, "\n", &rest)) {
		int r = line_is_local(line);

		if (r == 0)
			return false;
		is_local |= r > 0;
	}
	return is_local;
}

/* Takes "." and ".." out of an absolute path, as if there were no links in it. -ENOENT for a name
 * that no file has. */
static int walk_text(const char *path, char ***ret)
{
	autostrv char **words = NULL, **stack = NULL;
	int r = strv_split(path, "/", &words);

	for (char **word = words; r >= 0 && word && *word; word++) {
		size_t depth = strv_length(stack);

		if (streq(*word, ".."))
			free(depth ? take_ptr(stack[depth - 1]) : NULL);
		else if (!streq(*word, "."))
			r = path_name_is_valid(*word) ? strv_add(&stack, *word) : -ENOENT;
	}
	*ret = take_ptr(stack);
	return r;
}

int resolv_path_below_run(const char *link, char **ret)
{
	autofree char *path = str_printf("%s%s", *link == '/' ? "" : "/etc/", link);
	autostrv char **words = NULL;
	int r = path ? walk_text(path, &words) : -ENOMEM;

	if (r < 0)
		return r;
	if (strv_length(words) < 2 || !streq(words[0], "run") || streq(words[1], "host") ||
	    str_has_suffix(link, "/"))
		return -ENOENT;
	*ret = strv_join(words + 1, "/");
	return *ret ? 0 : -ENOMEM;
}

static int look_at_link(int etc, struct host_facts *facts)
{
	char link[PATH_MAX];
	ssize_t n = readlinkat(etc, "resolv.conf", link, sizeof(link) - 1);
	int r;

	facts->resolv_target = HOST_RESOLV_LINK;
	if (n < 0)
		return 0;
	link[n] = '\0';
	r = resolv_path_below_run(link, &facts->resolv_run_path);
	if (r == 0)
		facts->resolv_target = HOST_RESOLV_RUN;
	return r == -ENOMEM ? log_oom() : 0;
}

/* A mount of the host's in the tree, as it may be for a chroot, shows a file that is not the
 * tree's. */
static int find_mount(int dir, const char *name, uint64_t *ret_mount, mode_t *ret_mode)
{
	struct statx st;
	int r = sys_statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
			  STATX_TYPE | STATX_MNT_ID, &st);

	if (r < 0)
		return r;
	*ret_mount = st.stx_mnt_id;
	*ret_mode = st.stx_mode;
	return 0;
}

static int look_at_target(struct host *host)
{
	struct host_facts *facts = &host->facts;
	/* No link: what is relative in it could mean anything. */
	autoclose int etc =
		path_open_beneath(host->slots[PLAN_SLOT_IMAGE], "etc", O_PATH | O_DIRECTORY);
	uint64_t mount_of_tree, mount;
	mode_t mode;
	int r;

	facts->resolv_target = HOST_RESOLV_NO_ETC;
	if (etc < 0 || find_mount(host->slots[PLAN_SLOT_IMAGE], "", &mount_of_tree, &mode) < 0)
		return 0;
	r = find_mount(etc, "resolv.conf", &mount, &mode);
	if (r == -ENOENT) {
		facts->resolv_target = HOST_RESOLV_MISSING;
		r = find_mount(etc, "", &mount, &mode);
		mode = 0;
	}
	if (r < 0 || mount != mount_of_tree)
		facts->resolv_target = HOST_RESOLV_OTHER;
	else if (S_ISLNK(mode))
		return look_at_link(etc, facts);
	else if (mode != 0)
		facts->resolv_target = S_ISREG(mode) ? HOST_RESOLV_FILE : HOST_RESOLV_OTHER;
	return 0;
}

static void look_whether_writable(struct host *host)
{
	struct statvfs st;

	host->facts.resolv_is_read_only =
		host->spec->read_only ||
		(!host->spec->ephemeral && fstatvfs(host->slots[PLAN_SLOT_IMAGE], &st) == 0 &&
		 (st.f_flag & ST_RDONLY));
}

/* The stub of a resolver on the host is out of reach of another network: what it asks is not. */
static void avoid_local_servers(struct host *host)
{
	autofree char *uplink = NULL;

	if (!host->spec->private_network || !resolv_conf_is_local(host->facts.resolv_text))
		return;
	if (io_read_file_at(AT_FDCWD, UPLINK, RESOLV_MAX, &uplink, NULL) >= 0) {
		free(host->facts.resolv_text);
		host->facts.resolv_text = take_ptr(uplink);
		return;
	}
	log_warning("the host's " RESOLV_CONF
		    " names only the host's own 127.0.0.0/8 or ::1, which "
		    "machine %s can't reach: no name will be found there",
		    host->spec->machine);
	log_hint("--resolv-conf=auto lets redd answer");
}

static void warn_no_host_file(const struct host *host, const char *path, int error)
{
	log_warning_errno(error, "read %s of the host: " RESOLV_CONF " of machine %s is left alone",
			  path, host->spec->machine);
	if (error == -ENOENT && host->spec->resolv_conf_what != SPEC_RESOLV_CONF_HOST)
		log_hint("that file comes with systemd-resolved; --resolv-conf=copy-host does "
			 "without");
}

static void read_host_file(struct host *host, const char *path)
{
	int r = io_read_file_at(AT_FDCWD, path, RESOLV_MAX, &host->facts.resolv_text, NULL);

	if (r >= 0)
		avoid_local_servers(host);
	else if (host->spec->resolv_conf_how != SPEC_RESOLV_CONF_AUTO)
		warn_no_host_file(host, path, r);
}

static void open_host_file(struct host *host, const char *path)
{
	autoclose int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EBADFD;
	if (r < 0) {
		warn_no_host_file(host, path, r);
		return;
	}
	host_set_slot(host, PLAN_SLOT_RESOLV, take_fd(&fd));
	host->facts.resolv_has_source = true;
}

static int resolv_prepare(struct host *host)
{
	const struct spec *spec = host->spec;
	const char *path = host_files[spec->resolv_conf_what];

	if (spec->resolv_conf_how == SPEC_RESOLV_CONF_OFF)
		return 0;
	look_whether_writable(host);
	if (spec->resolv_conf_how == SPEC_RESOLV_CONF_BIND)
		open_host_file(host, path);
	else if (spec->resolv_conf_how == SPEC_RESOLV_CONF_AUTO
			 ? !spec->private_network
			 : spec->resolv_conf_how != SPEC_RESOLV_CONF_DELETE)
		read_host_file(host, path);
	return look_at_target(host);
}

static bool is_mounted_by_person(const struct spec *spec)
{
	for (size_t i = 0; i < spec->mount_count; i++)
		if (streq(spec->mounts[i].target, RESOLV_CONF))
			return true;
	return false;
}

/* Who answers DNS on a link that redd serves: the host's end of it. */
static size_t list_servers(const struct host_network *network, struct net_address ret[2])
{
	const struct net_address *ends[] = {&network->lease.host4, &network->lease.host6};
	size_t count = 0;

	if (network->server != HOST_NETWORK_REDD)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (net_address_is_set(ends[i]))
			ret[count++] = *ends[i];
	return count;
}

/* By default: the host's, or with a network of its own who answers there. NULL: nobody knows. */
static const char *plan_auto_text(const struct spec *spec, const struct host_facts *facts,
				  struct plan *plan)
{
	const struct net_address *servers = spec->name_servers;
	size_t count = spec->name_server_count;
	struct net_address ends[2];
	autofree char *text = NULL;

	if (is_mounted_by_person(spec))
		return NULL;
	if (!spec->private_network)
		return facts->resolv_text ? plan_str(plan, facts->resolv_text) : NULL;
	if (count == 0) {
		servers = ends;
		count = list_servers(&facts->network, ends);
	}
	if (count == 0)
		return NULL;
	text = resolv_conf_text(servers, count);
	return plan_str(plan, text ? text : "");
}

const char *resolv_plan_shadow(const struct spec *spec, const struct host_facts *facts,
			       struct plan *plan)
{
	if (spec->resolv_conf_how != SPEC_RESOLV_CONF_AUTO || !facts->resolv_is_read_only ||
	    facts->resolv_target != HOST_RESOLV_FILE)
		return NULL;
	return plan_auto_text(spec, facts, plan);
}

static void plan_put(const struct host_facts *facts, const char *text, bool replaces,
		     struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_PUT_FILE, .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_ROOT,
		 .path = RESOLV_CONF, .data = text, .number = replaces, .mode = 0644,
		 .uid = facts->uid_shift, .gid = facts->uid_shift, .may_fail = true);
}

static void plan_attach(bool may_be_missing, struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_SETATTR, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_RESOLV,
		 .number = MOUNT_ATTR_RDONLY);
	PLAN_ADD(plan, .kind = PLAN_OP_ATTACH, .stage = PLAN_STAGE_SETUP, .in = PLAN_SLOT_RESOLV,
		 .at = PLAN_SLOT_ROOT, .path = RESOLV_CONF, .is_optional = may_be_missing,
		 .may_fail = true);
}

/* /run is new and ours until the machine runs: its resolver then replaces what we put there. */
static void plan_in_run(const struct host_facts *facts, const char *text, struct plan *plan)
{
	const char *path = plan_str(plan, facts->resolv_run_path);
	const char *slash = path ? strrchr(path, '/') : NULL;

	if (slash)
		PLAN_ADD(plan, .kind = PLAN_OP_MKDIR, .stage = PLAN_STAGE_SETUP,
			 .at = PLAN_SLOT_RUN,
			 .path = plan_printf(plan, "%.*s", (int)(slash - path), path),
			 .uid = facts->uid_shift, .gid = facts->uid_shift, .may_fail = true);
	PLAN_ADD(plan, .kind = PLAN_OP_WRITE, .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_RUN,
		 .path = path, .data = text, .mode = 0644, .uid = facts->uid_shift,
		 .gid = facts->uid_shift, .is_optional = slash != NULL, .may_fail = true);
}

static void plan_for_auto(const struct spec *spec, const struct host_facts *facts,
			  struct plan *plan)
{
	const char *text = plan_auto_text(spec, facts, plan);

	if (!text)
		return;
	if (facts->resolv_target == HOST_RESOLV_RUN) {
		plan_in_run(facts, text, plan);
	} else if (resolv_plan_shadow(spec, facts, plan)) {
		PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_SETUP,
			 .in = PLAN_SLOT_RUN_HOST, .source = SHADOW, .out = PLAN_SLOT_RESOLV);
		plan_attach(false, plan);
	} else if (!facts->resolv_is_read_only && (facts->resolv_target == HOST_RESOLV_FILE ||
						   facts->resolv_target == HOST_RESOLV_MISSING)) {
		plan_put(facts, text, false, plan);
	}
}

static void plan_for_copy(const struct spec *spec, const struct host_facts *facts,
			  struct plan *plan)
{
	if (facts->resolv_text)
		plan_put(facts, plan_str(plan, facts->resolv_text), false, plan);
}

static void plan_for_replace(const struct spec *spec, const struct host_facts *facts,
			     struct plan *plan)
{
	if (facts->resolv_text)
		plan_put(facts, plan_str(plan, facts->resolv_text), true, plan);
}

static void plan_for_bind(const struct spec *spec, const struct host_facts *facts,
			  struct plan *plan)
{
	bool is_below_run = facts->resolv_target == HOST_RESOLV_RUN;
	bool is_missing = facts->resolv_target == HOST_RESOLV_MISSING;

	if (!facts->resolv_has_source)
		return;
	PLAN_ADD(plan, .kind = PLAN_OP_OPEN_TREE, .stage = PLAN_STAGE_OPEN, .in = PLAN_SLOT_RESOLV,
		 .out = PLAN_SLOT_RESOLV);
	if (is_below_run || is_missing)
		PLAN_ADD(plan, .kind = PLAN_OP_MKFILE, .stage = PLAN_STAGE_SETUP,
			 .at = is_below_run ? PLAN_SLOT_RUN : PLAN_SLOT_ROOT,
			 .path = is_below_run ? plan_str(plan, facts->resolv_run_path)
					      : RESOLV_CONF,
			 .uid = facts->uid_shift, .gid = facts->uid_shift, .may_fail = true);
	plan_attach(is_missing, plan);
}

static void plan_for_delete(const struct spec *spec, const struct host_facts *facts,
			    struct plan *plan)
{
	PLAN_ADD(plan, .kind = PLAN_OP_DELETE, .stage = PLAN_STAGE_SETUP, .at = PLAN_SLOT_ROOT,
		 .path = RESOLV_CONF, .uid = facts->uid_shift, .gid = facts->uid_shift,
		 .may_fail = true);
}

static void resolv_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	static void (*const plans[])(const struct spec *, const struct host_facts *,
				     struct plan *) = {
		[SPEC_RESOLV_CONF_AUTO] = plan_for_auto,
		[SPEC_RESOLV_CONF_OFF] = NULL,
		[SPEC_RESOLV_CONF_COPY] = plan_for_copy,
		[SPEC_RESOLV_CONF_REPLACE] = plan_for_replace,
		[SPEC_RESOLV_CONF_BIND] = plan_for_bind,
		[SPEC_RESOLV_CONF_DELETE] = plan_for_delete,
	};

	if (plans[spec->resolv_conf_how])
		plans[spec->resolv_conf_how](spec, facts, plan);
}

static void resolv_done(struct host_facts *facts)
{
	free(facts->resolv_run_path);
	free(facts->resolv_text);
}

const struct host_module host_module_resolv = {
	.name = "resolv",
	.prepare = resolv_prepare,
	.plan = resolv_plan,
	.done = resolv_done,
};
