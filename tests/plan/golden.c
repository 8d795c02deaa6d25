/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Golden plans: the operations that a command line results in, compared with tests/plan/NAME.plan.
 * redd's own code turns words into settings, spec and plan; only the facts about the host and the
 * image are made up, so that no root is needed and every machine gives the same text.
 *
 *     golden DIR            compares; TAP
 *     golden --update DIR   rewrites the files: read the diff before you commit it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "host/network/network.h"
#include "lib/io.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "settings/settings.h"

#define PLAN_MAX (256 * 1024)
#define WORDS_MAX 16
/* As picked for a name: a multiple of 65536. */
#define SHIFT 1749352448

#define NIX_SYSTEM "--nix-system=/nix/var/nix/profiles/per-container/m/system"

enum {
	START = 1 << 0,	   /* as `redd start` asks, not `redd run` */
	TERMINAL = 1 << 1, /* called from one */
	NO_CGROUP = 1 << 2,
	V1_DEVICES = 1 << 3,
	ALICE = 1 << 4,	    /* the user that was asked for */
	PROFILE = 1 << 5,   /* a NixOS-shaped tree */
	FILE_BIND = 1 << 6, /* the first mount's source is a file */
	HARDWARE = 1 << 7,  /* the host has /dev/net/tun and /dev/fuse */
	/* /etc/resolv.conf of the tree: a file, or … */
	RESOLV_RUN = 1 << 8, /* a link to systemd-resolved's in /run */
	RESOLV_LINK = 1 << 9,
	RESOLV_MISSING = 1 << 10,
	NETWORKD = 1 << 11, /* the host's networkd serves machines */
	NO_IPV6 = 1 << 12,
	BINDS = 1 << 13,   /* the host can't show a closure by an overlay */
	DOCKER = 1 << 15,  /* iptables drops what the host forwards, of IPv4 */
	V1_PIDS = 1 << 14, /* of cgroup2 and v1, the latter has the pids controller */
};

static const struct golden {
	const char *name;
	unsigned flags;
	const char *words[WORDS_MAX];
} cases[] = {
	{"command", 0, {"/bin/true", "one", "two"}},
	{"command-searched", 0, {"ls", "-l"}},
	{"shell", TERMINAL, {"-q"}},
	{"shell-nixos", TERMINAL | PROFILE, {"-q"}},
	{"boot-veth", 0, {"-b", "-n"}},
	{"boot-parameters", HARDWARE, {"-b", "--", "--unit=rescue.target", "quiet"}},
	{"start", START, {}},
	{"host-network-no-users", 0, {"--private-users=no", "/bin/true"}},
	{"private-network-no-users", 0, {"--private-users=no", "--private-network", "/bin/true"}},
	{"users-identity", 0, {"--private-users=identity", "/bin/true"}},
	{"users-identity-veth", 0, {"-b", "-n", "--private-users=identity"}},
	{"users-fixed", 0, {"--private-users=700000:65536", "/bin/true"}},
	{"read-only", 0, {"--read-only", "/bin/true"}},
	{"ephemeral", 0, {"-x", "--machine=m", "/bin/true"}},
	{"ephemeral-read-only-no-users",
	 0,
	 {"-x", "--machine=m", "--read-only", "--private-users=no", "/bin/true"}},
	{"pipe", 0, {"-P", "/bin/cat"}},
	{"as-pid2", 0, {"-a", "/bin/sh", "-c", "exit 3"}},
	{"binds",
	 0,
	 {"--bind=/srv/a", "--bind-ro=/srv/b:/mnt/b", "--bind=/srv/c:/mnt/c:norbind",
	  "--bind=/srv/d:/mnt/d:idmap", "--bind=/srv/e:/mnt/e:rootidmap",
	  "--bind-ro=/srv/f:/mnt/f:owneridmap", "--bind=+/usr/share:/mnt/g", "/bin/true"}},
	{"bind-file", FILE_BIND, {"--bind-ro=/etc/hosts:/etc/hosts", "/bin/true"}},
	{"binds-no-users",
	 0,
	 {"--private-users=no", "--bind-ro=/srv/a", "--bind=/srv/b", "/bin/true"}},
	{"tmpfs", 0, {"--tmpfs=/var/tmp", "--tmpfs=/srv:size=1m,mode=0700", "/bin/true"}},
	{"nix-closure", 0, {"-b", NIX_SYSTEM}},
	{"nix-closure-binds", BINDS, {"-b", NIX_SYSTEM}},
	{"nix-closure-no-users", 0, {"-b", "--private-users=no", NIX_SYSTEM}},
	{"nix-whole", 0, {NIX_SYSTEM, "--nix-store=whole", "--read-only", "/bin/true"}},
	{"nix-whole-no-users",
	 0,
	 {NIX_SYSTEM, "--nix-store=whole", "--private-users=no", "/bin/true"}},
	{"nix-daemon", 0, {"-b", NIX_SYSTEM, "--nix-store=daemon"}},
	{"user", ALICE, {"--uid=alice", "/bin/true"}},
	{"user-chdir", ALICE, {"--uid=alice", "--chdir=/srv", "/bin/true"}},
	{"rlimits", 0, {"--rlimit=NOFILE=1024:4096", "--rlimit=CORE=0", "/bin/true"}},
	{"capabilities",
	 0,
	 {"--private-users=no", "--capability=CAP_SYS_ADMIN",
	  "--drop-capability=CAP_CHOWN,CAP_MKNOD", "/bin/true"}},
	{"identity",
	 0,
	 {"--hostname=other", "--uuid=0123456789abcdef0123456789abcdef", "--setenv=A=b c",
	  "--setenv=PATH=/opt/bin", "tool"}},
	{"network-zone", 0, {"-b", "--network-zone=lab"}},
	{"network-zone-no-users", 0, {"--private-users=no", "--network-zone=lab", "/bin/true"}},
	{"network-bridge", 0, {"-b", "--network-bridge=br0"}},
	{"network-bridge-no-users", 0, {"--private-users=no", "--network-bridge=br0", "/bin/true"}},
	{"network-networkd", NETWORKD, {"-b", "-n"}},
	{"network-no-ipv6", NO_IPV6, {"-b", "-n"}},
	{"network-ports",
	 DOCKER,
	 {"-b", "-n", "-p", "8080:80", "-p", "udp:5000-5009:6000", "-p", "[::1]:443"}},
	{"network-ports-zone",
	 0,
	 {"-b", "--network-zone=lab", "-p", "127.0.0.1:8080:80", "-p", "sctp:9000"}},
	{"network-ports-macvlan", 0, {"--network-macvlan=eth0", "-p", "8080:80", "/bin/true"}},
	{"network-links",
	 0,
	 {"--network-veth-extra=a:b", "--network-macvlan=eth0", "--network-ipvlan=eth1",
	  "--network-interface=eth2:lan", "--network-interface=eth3", "/bin/true"}},
	{"network-links-no-users",
	 0,
	 {"--private-users=no", "-n", "--network-veth-extra=a:b", "--network-macvlan=eth0:mac",
	  "/bin/true"}},
	{"network-namespace", 0, {"--network-namespace-path=/run/netns/x", "/bin/true"}},
	{"network-namespace-no-users",
	 0,
	 {"--private-users=no", "--network-namespace-path=/run/netns/x", "/bin/true"}},
	{"notify-ready", 0, {"--notify-ready=yes", "/bin/true"}},
	{"no-cgroup", NO_CGROUP, {"/bin/true"}},
	{"v1-devices", NO_CGROUP | V1_DEVICES, {"--private-users=no", "/bin/true"}},
	{"resolv-auto-missing", RESOLV_MISSING, {"/bin/true"}},
	{"resolv-auto-run", RESOLV_RUN, {"/bin/true"}},
	{"resolv-auto-link", RESOLV_LINK, {"/bin/true"}},
	{"resolv-auto-read-only-run", RESOLV_RUN, {"--read-only", "/bin/true"}},
	{"resolv-auto-veth-run", RESOLV_RUN, {"-n", "/bin/true"}},
	{"resolv-auto-veth-read-only", 0, {"-n", "--read-only", "/bin/true"}},
	{"resolv-auto-private", 0, {"--private-network", "/bin/true"}},
	{"resolv-auto-bound", FILE_BIND, {"--bind-ro=/srv/r:/etc/resolv.conf", "/bin/true"}},
	{"resolv-off", 0, {"--resolv-conf=off", "/bin/true"}},
	{"resolv-copy", RESOLV_RUN, {"--resolv-conf=copy-uplink", "/bin/true"}},
	{"resolv-replace", RESOLV_RUN, {"--resolv-conf=replace-static", "/bin/true"}},
	{"resolv-bind", 0, {"--resolv-conf=bind-host", "/bin/true"}},
	{"resolv-bind-run", RESOLV_RUN, {"--resolv-conf=bind-stub", "/bin/true"}},
	{"resolv-bind-missing", RESOLV_MISSING, {"--resolv-conf=bind-host", "/bin/true"}},
	{"resolv-delete", 0, {"--resolv-conf=delete", "/bin/true"}},
	{"v1-pids", V1_PIDS, {"/bin/true"}},
	{"v1-devices-beside-cgroup2", V1_DEVICES, {"--private-users=no", "/bin/true"}},
};

static int fill_spec(const struct golden *golden, struct spec *ret)
{
	autosettings struct settings settings = {};
	struct spec_context context = {
		.managed = golden->flags & START,
		.stdio_is_tty = golden->flags & TERMINAL,
		.machine = "m",
		.directory = "/var/lib/machines/m",
	};
	char *argv[WORDS_MAX + 2] = {(char *)"run"};
	int argc = 1;
	int r;

	for (; argc <= WORDS_MAX && golden->words[argc - 1]; argc++)
		argv[argc] = (char *)golden->words[argc - 1];
	r = golden->flags & START ? settings_for_start(&settings)
				  : settings_parse_command_line(&settings, argc, argv);
	return r < 0 ? r : spec_resolve(&settings, &context, ret);
}

static void fill_users(const struct golden *golden, const struct spec *spec,
		       struct host_facts *facts)
{
	facts->has_user_namespace = spec->users != SPEC_USERS_NONE;
	facts->uid_range = facts->has_user_namespace ? spec->uid_range : 0;
	if (spec->users == SPEC_USERS_PICK)
		facts->uid_shift = SHIFT;
	else if (spec->users == SPEC_USERS_FIXED)
		facts->uid_shift = spec->uid_shift;
	facts->users_maker = facts->uid_shift;
	facts->user_name = strdup(golden->flags & ALICE ? "alice" : "root");
	facts->user_home = strdup(golden->flags & ALICE ? "/home/alice" : "/root");
	facts->user_shell = strdup("/bin/sh");
	if (golden->flags & ALICE) {
		facts->user_uid = facts->user_gid = 1000;
		facts->user_groups = calloc(2, sizeof(gid_t));
		facts->user_group_count = 2;
	}
}

/* A closure of a directory, a file and a link. */
static void fill_store(const struct golden *golden, const struct spec *spec,
		       struct host_facts *facts)
{
	if (spec->store == SPEC_STORE_OWN)
		return;
	facts->store_system = strdup("/nix/store/00000000000000000000000000000000-system");
	facts->store_daemon_binds = 1 << 0 | 1 << 2 | 1 << 3; /* no socket */
	facts->has_profile = true;
	facts->store_paths = calloc(3, sizeof(*facts->store_paths));
	facts->store_path_count = 3;
	facts->store_by_binds = golden->flags & BINDS;
	facts->store_paths[0].name = strdup("00000000000000000000000000000000-system");
	facts->store_paths[1].name = strdup("11111111111111111111111111111111-file");
	facts->store_paths[1].is_file = true;
	facts->store_paths[2].name = strdup("22222222222222222222222222222222-link");
	facts->store_paths[2].link = strdup("/nix/store/1");
}

static void fill_image(const struct golden *golden, const struct spec *spec,
		       struct host_facts *facts)
{
	facts->has_profile = golden->flags & PROFILE;
	fill_store(golden, spec, facts);
	facts->mount_is_file = calloc(spec->mount_count + 1, sizeof(bool));
	facts->mount_is_file[0] = golden->flags & FILE_BIND;
	facts->scratch_name = strdup("m.0123456789abcdef");
	strcpy(facts->uuid, "00112233445566778899aabbccddeeff");
	if (spec->uuid_set)
		strcpy(facts->uuid, "0123456789abcdef0123456789abcdef");
	if (spec->start != SPEC_START_BOOT)
		return;
	if (facts->store_system) {
		(void)strv_add_owned(&facts->init_candidates,
				     str_printf("%s/init", facts->store_system));
		facts->init_notifies = true;
		return;
	}
	(void)strv_add(&facts->init_candidates, "/sbin/init");
	(void)strv_add(&facts->init_candidates, "/usr/lib/systemd/systemd");
	facts->init = strdup("/usr/lib/systemd/systemd");
	facts->init_notifies = true;
}

static void fill_resolv(const struct golden *golden, const struct spec *spec,
			struct host_facts *facts)
{
	facts->resolv_target = golden->flags & RESOLV_RUN	? HOST_RESOLV_RUN
			       : golden->flags & RESOLV_LINK	? HOST_RESOLV_LINK
			       : golden->flags & RESOLV_MISSING ? HOST_RESOLV_MISSING
								: HOST_RESOLV_FILE;
	if (golden->flags & RESOLV_RUN)
		facts->resolv_run_path = strdup("systemd/resolve/stub-resolv.conf");
	facts->resolv_text = strdup("nameserver 192.0.2.53\n");
	facts->resolv_has_source = true;
	facts->resolv_is_read_only = spec->read_only;
}

/* A plan shows only the filter's length. */
static struct seccomp_program *make_filter(void)
{
	struct seccomp_program *program =
		calloc(1, sizeof(*program) + 4 * sizeof(program->filter[0]));

	if (program)
		program->length = 4;
	return program;
}

static struct net_address address(const char *text)
{
	struct net_address parsed = {};

	if (*text)
		(void)net_address_parse(text, &parsed);
	return parsed;
}

static void fill_lease(const struct spec *spec, struct net_lease *lease)
{
	*lease = (struct net_lease){
		.subnet4 = {address("10.1.2.0"), spec->zone ? 24 : 28},
		.host4 = address("10.1.2.1"),
		.guest4 = address("10.1.2.2"),
		.subnet6 = {address("fd00:1:2:3::"), 64},
		.host6 = address("fd00:1:2:3::1"),
		.guest6 = address("fd00:1:2:3:a:b:c:d"),
	};
}

static void fill_network(const struct golden *golden, const struct spec *spec,
			 struct host_network *network)
{
	if (!spec->veth)
		return;
	strcpy(network->link, spec->zone || spec->bridge ? "vb-m" : "ve-m");
	if (spec->zone || spec->bridge)
		(void)snprintf(network->bridge, sizeof(network->bridge), "%s%s",
			       spec->zone ? "vz-" : "", spec->zone ? spec->zone : spec->bridge);
	memcpy(network->guest_mac, (const uint8_t[ETH_ALEN]){2, 0, 0, 0, 0, 2}, ETH_ALEN);
	network->has_ipv6 = !(golden->flags & NO_IPV6);
	network->server = spec->bridge		     ? HOST_NETWORK_BRIDGE
			  : golden->flags & NETWORKD ? HOST_NETWORK_NETWORKD
						     : HOST_NETWORK_REDD;
	network->is_masqueraded = network->server == HOST_NETWORK_REDD;
	if (network->server == HOST_NETWORK_REDD)
		fill_lease(spec, &network->lease);
	network_apply_static(spec, network->server == HOST_NETWORK_REDD, network);
	if (golden->flags & DOCKER)
		network->others.accept_in = FIREWALL_OTHERS_FORWARD4 | FIREWALL_OTHERS_DOCKER4;
}

static void fill_facts(const struct golden *golden, const struct spec *spec,
		       struct host_facts *facts)
{
	char os[] = "ID=debian\nVERSION_ID=\"13\"\n";

	fill_users(golden, spec, facts);
	fill_image(golden, spec, facts);
	fill_resolv(golden, spec, facts);
	facts->caps = spec->caps_bounding;
	facts->sysctl_of_host = "sys/net/netfilter/nf_hooks_lwtunnel";
	facts->seccomp = make_filter();
	facts->is_scoped = !spec->private_network && !spec->abstract_sockets;
	facts->has_tun = facts->has_fuse = golden->flags & HARDWARE;
	facts->has_cgroup = !(golden->flags & NO_CGROUP);
	facts->has_bpf_devices = !(golden->flags & (NO_CGROUP | V1_DEVICES));
	facts->has_v1_pids = golden->flags & V1_PIDS;
	facts->has_v1_devices = golden->flags & V1_DEVICES;
	facts->has_terminal = golden->flags & TERMINAL;
	facts->term = golden->flags & TERMINAL ? strdup("xterm") : NULL;
	facts->host_os_release = strdup(os);
	(void)os_release_parse(os, &facts->host_os);
	fill_network(golden, spec, &facts->network);
}

static char *print_plan(const struct spec *spec, const struct host_facts *facts)
{
	autoplan struct plan plan = {};
	char *text = NULL;
	size_t size;
	FILE *out;

	if (host_plan(spec, facts, &plan) < 0)
		return NULL;
	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	plan_print(&plan, out);
	(void)host_print_rules(spec, facts, out);
	return fclose(out) == 0 ? text : NULL;
}

static char *plan_of(const struct golden *golden)
{
	autospec struct spec spec = {};
	struct host_facts facts = {};
	char *text;

	if (fill_spec(golden, &spec) < 0)
		return NULL;
	fill_facts(golden, &spec, &facts);
	text = print_plan(&spec, &facts);
	host_facts_done(&facts);
	return text;
}

/* Show the first line that differs. */
static void show_difference(const char *want, const char *got)
{
	int line = 1;

	while (*want) {
		size_t n = strcspn(want, "\n");

		if (strncmp(want, got, n + 1) != 0)
			break;
		want += n + 1;
		got += n + 1;
		line++;
	}
	printf("# line %d\n# - %.*s\n# + %.*s\n", line, (int)strcspn(want, "\n"), want,
	       (int)strcspn(got, "\n"), got);
}

static bool compare(const char *path, const char *got)
{
	autofree char *want = NULL;
	int r = io_read_file_at(AT_FDCWD, path, PLAN_MAX, &want, NULL);

	if (r < 0) {
		printf("# read %s: %s; golden --update writes it\n", path, strerror(-r));
		return false;
	}
	if (streq(want, got))
		return true;
	show_difference(want, got);
	return false;
}

static bool update(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	return file && fputs(text, file) >= 0 && fclose(file) == 0;
}

static bool try_case(const struct golden *golden, const char *dir, bool is_update)
{
	autofree char *path = str_printf("%s/%s.plan", dir, golden->name);
	autofree char *got = plan_of(golden);

	if (!path || !got)
		return false;
	return is_update ? update(path, got) : compare(path, got);
}

int main(int argc, char *argv[])
{
	bool is_update = argc > 2 && streq(argv[1], "--update");
	int failed = 0;

	if (argc != 2 + is_update)
		return 2;
	printf("1..%zu\n", ARRAY_SIZE(cases));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool is_good = try_case(&cases[i], argv[argc - 1], is_update);

		printf("%sok %zu - %s\n", is_good ? "" : "not ", i + 1, cases[i].name);
		failed += !is_good;
	}
	return failed > 0;
}
