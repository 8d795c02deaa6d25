/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From settings to spec: each row has its effect, by option and by key; the rules "A needs B". */
#include <linux/capability.h>

#include "captured_log.h"
#include "lib/caps.h"
#include "settings/file.h"
#include "settings/table.h"
#include "settings_examples.h"
#include "spec/spec.h"

#define WORDS_MAX 8
#define NO_SYSTEM                                                                                  \
	"a system to boot, and none is named\n"                                                    \
	"error:       hint: System= in section [X-Nix], or --nix-system=PATH, names a profile or " \
	"a path of /nix/store\n"
#define WITH_SYSTEM "--nix-system=/p"

static const struct spec_context in_foreground = {.machine = "m",
						  .directory = "/var/lib/machines/m"};

static void give(struct settings *settings, const char *const *words)
{
	char *argv[WORDS_MAX + 2] = {(char *)"run"};
	int argc = 1;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	assert_true(settings_parse_command_line(settings, argc, argv) > 0);
}

/* The resulting spec as text, compared as a whole, so that no change is missed. */
static void describe_addresses(struct buf *b, const struct spec *spec)
{
	char text[NET_ADDRESS_TEXT];

	for (size_t i = 0; i < spec->address_count; i++)
		buf_printf(b, "address=%s ", net_prefix_format(&spec->addresses[i], text));
	for (size_t i = 0; i < spec->gateway_count; i++)
		buf_printf(b, "gateway=%s ", net_address_format(&spec->gateways[i], text));
	for (size_t i = 0; i < spec->name_server_count; i++)
		buf_printf(b, "dns=%s ", net_address_format(&spec->name_servers[i], text));
}

static void describe_network(struct buf *b, const struct spec *spec)
{
	char text[NET_ADDRESS_TEXT];

	if (spec->bridge)
		buf_printf(b, "bridge=%s ", spec->bridge);
	if (spec->zone)
		buf_printf(b, "zone=%s ", spec->zone);
	if (spec->netns_path)
		buf_printf(b, "netns=%s ", spec->netns_path);
	for (size_t i = 0; i < spec->link_count; i++)
		buf_printf(b, "link=%d:%s:%s ", spec->links[i].kind, spec->links[i].host,
			   spec->links[i].guest ? spec->links[i].guest : "");
	for (size_t i = 0; i < spec->port_count; i++) {
		const struct net_port *port = &spec->ports[i];

		buf_printf(b, "port=%d:%s%s%u-%u:%u ", port->protocol,
			   net_address_format(&port->bind, text),
			   net_address_is_set(&port->bind) ? ":" : "", port->first, port->last,
			   port->guest_first);
	}
	describe_addresses(b, spec);
	if (!spec->configure_network)
		buf_add_str(b, "unconfigured ");
	if (!spec->check_source)
		buf_add_str(b, "any-source ");
	if (spec->vlans)
		buf_add_str(b, "vlans ");
	if (spec->vsock)
		buf_add_str(b, "vsock ");
	if (spec->abstract_sockets)
		buf_add_str(b, "abstract-sockets ");
	if (spec->resolv_conf_how != SPEC_RESOLV_CONF_AUTO)
		buf_printf(b, "resolv=%d:%d ", spec->resolv_conf_how, spec->resolv_conf_what);
}

static char *describe(const struct spec *spec)
{
	static const char *const starts[] = {"command", "pid2", "boot"};
	static const char *const consoles[] = {"interactive", "read-only", "passive", "pipe"};
	static const char *const users[] = {"none", "pick", "owner", "identity", "fixed"};
	static const char *const stores[] = {"own", "closure", "whole", "daemon"};
	struct buf b = {};
	char *text;

	if (spec->start)
		buf_printf(&b, "start=%s ", starts[spec->start]);
	for (char **p = spec->parameters; p && *p; p++)
		buf_printf(&b, "arg=%s ", *p);
	for (char **p = spec->environment; p && *p; p++)
		buf_printf(&b, "env=%s ", *p);
	if (spec->hostname)
		buf_printf(&b, "hostname=%s ", spec->hostname);
	if (spec->uuid_set)
		buf_printf(&b, "uuid=%02x..%02x ", spec->uuid[0], spec->uuid[15]);
	if (!streq(spec->directory, "/var/lib/machines/m"))
		buf_printf(&b, "directory=%s ", spec->directory);
	if (spec->user)
		buf_printf(&b, "user=%s ", spec->user);
	if (spec->chdir)
		buf_printf(&b, "chdir=%s ", spec->chdir);
	if (spec->kill_signal)
		buf_printf(&b, "kill=%d ", spec->kill_signal);
	if (spec->notify_ready != -1)
		buf_printf(&b, "notify=%d ", spec->notify_ready);
	if (spec->console != SPEC_CONSOLE_READ_ONLY)
		buf_printf(&b, "console=%s ", consoles[spec->console]);
	if (spec->users != SPEC_USERS_PICK)
		buf_printf(&b, "users=%s:%u:%u ", users[spec->users], spec->uid_shift,
			   spec->uid_range);
	if (spec->read_only)
		buf_add_str(&b, "read-only ");
	if (spec->ephemeral)
		buf_add_str(&b, "ephemeral ");
	if (spec->nix_system)
		buf_printf(&b, "nix=%s,%s%s ", spec->nix_system, stores[spec->store],
			   spec->nix_rollback ? ",rollback" : "");
	if (spec->quiet)
		buf_add_str(&b, "quiet ");
	if (spec->private_network)
		buf_add_str(&b, spec->veth ? "veth " : "private-network ");
	describe_network(&b, spec);
	if (spec->stop_timeout_us != SPEC_STOP_TIMEOUT_US)
		buf_printf(&b, "stop=%jd ", (intmax_t)spec->stop_timeout_us);
	if (spec->ready_timeout_us != SPEC_READY_TIMEOUT_US)
		buf_printf(&b, "ready=%jd ", (intmax_t)spec->ready_timeout_us);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (spec->rlimits[i].is_set)
			buf_printf(&b, "limit%d=%jd:%jd ", i,
				   (intmax_t)spec->rlimits[i].value.rlim_cur,
				   (intmax_t)spec->rlimits[i].value.rlim_max);
	for (size_t i = 0; i < spec->mount_count; i++) {
		const struct spec_mount *m = &spec->mounts[i];

		buf_printf(&b, "%s=%s%s>%s%s%s,%d%s%s ",
			   m->kind == SPEC_MOUNT_TMPFS ? "tmpfs" : "bind",
			   m->source_in_image ? "+" : "", m->source ? m->source : "", m->target,
			   m->read_only ? ",ro" : "", m->recursive ? ",r" : "", m->idmap,
			   m->options ? "," : "", m->options ? m->options : "");
	}
	assert_int_equal(buf_take(&b, &text), 0);
	return text;
}

static void test_options(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *described;
	} rows[] = {
		{{NULL}, ""},
		{{"ls", "-l"}, "arg=ls arg=-l "},
		{{"-b", "rescue", "A=1", "a.b=2"}, "start=boot arg=rescue arg=a.b=2 env=A=1 "},
		{{"-a", "sh", "A=1"}, "start=pid2 arg=sh arg=A=1 "},
		{{"-E", "A=1", "-E", "B=2", "-E", "A=3"}, "env=A=3 env=B=2 "},
		{{"-D", "/srv/x"}, "directory=/srv/x "},
		{{"-D", "/srv//x/./"}, "directory=/srv/x "},
		{{"-x"}, "ephemeral "},
		{{"-xD/"}, "directory=/ ephemeral "},
		{{"--nix-system=/nix/store//x"}, "nix=/nix/store/x,closure "},
		{{"--nix-system=/p", "--nix-store=whole"}, "nix=/p,whole "},
		{{"--nix-system=/p", "--nix-store=daemon", "--nix-rollback-on-failure=yes"},
		 "nix=/p,daemon,rollback "},
		{{"--nix-system=/p", "--nix-store=own"}, ""},
		{{"--nix-store=own"}, ""},
		{{"--read-only"}, "read-only "},
		{{"-q"}, "quiet "},
		{{"-u", "nobody"}, "user=nobody "},
		{{"--chdir=/a//b/"}, "chdir=/a/b "},
		{{"--kill-signal=TERM"}, "kill=15 "},
		{{"--notify-ready=yes"}, "notify=1 "},
		{{"--notify-ready=no"}, "notify=0 "},
		{{"--hostname=h"}, "hostname=h "},
		{{"--uuid=00112233445566778899aabbccddeeff"}, "uuid=00..ff "},
		{{"--console=passive"}, "console=passive "},
		{{"--console=autopipe"}, "console=pipe "},
		{{"-P"}, "console=pipe "},
		{{"-U"}, ""},
		{{"--private-users=no"}, "users=none:0:65536 "},
		{{"--private-users"}, "users=owner:0:65536 "},
		{{"--private-users=identity"}, "users=identity:0:65536 "},
		{{"--private-users=100000:1000"}, "users=fixed:100000:1000 "},
		{{"--private-network"}, "private-network "},
		{{"-n"}, "veth "},
		{{"-n", "--private-network"}, "veth "},
		{{"--stop-timeout=5"}, "stop=5000000 "},
		{{"--ready-timeout=1min"}, "ready=60000000 "},
		{{"--ready-timeout=0"}, "ready=-1 "},
		{{"--rlimit=NOFILE=1:2"}, "limit7=1:2 "},
		{{"--rlimit=NICE=-20"}, "limit13=40:40 "},
		{{"--bind=/b", "--bind-ro=/a:/c/d", "--tmpfs=/c:size=1M"},
		 "bind=/b>/b,r,0 tmpfs=>/c,0,size=1M bind=/a>/c/d,ro,r,0 "},
		{{"--bind=+/b:/e:norbind,rootidmap"}, "bind=+/b>/e,2 "},
		{{"--tmpfs=/a", "--bind=/b:/a"}, "tmpfs=>/a,0,mode=0755 bind=/b>/a,r,0 "},
		{{"--bind=/b:/a", "--tmpfs=/a"}, "bind=/b>/a,r,0 tmpfs=>/a,0,mode=0755 "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};
		autofree char *described = NULL;
		autospec struct spec spec = {};

		give(&settings, rows[i].words);
		assert_int_equal(spec_resolve(&settings, &in_foreground, &spec), 0);
		described = describe(&spec);
		assert_string_equal(described, rows[i].described);
	}
	assert_string_equal(captured_text(), "");
}

static void read_file(struct settings *settings, const char *data)
{
	const struct settings_text text = {"f", data, strlen(data), true, "/etc/systemd/nspawn"};

	assert_int_equal(settings_read_text(settings, &text), 0);
}

static void test_keys(void **state)
{
	static const struct {
		const char *text;
		const char *described;
	} rows[] = {
		{"[Exec]\nBoot=yes\nParameters=a 'b c'\n", "start=boot arg=a arg=b c "},
		{"[Exec]\nProcessTwo=yes\n", "start=pid2 "},
		{"[Exec]\nEphemeral=yes\n", "ephemeral "},
		{"[Exec]\nEnvironment=A=1 B=2\n", "env=A=1 env=B=2 "},
		{"[Exec]\nUser=nobody\nWorkingDirectory=/a\n", "user=nobody chdir=/a "},
		{"[Exec]\nKillSignal=SIGRTMIN+3\nNotifyReady=yes\n", "kill=37 notify=1 "},
		{"[Exec]\nMachineID=00112233445566778899aabbccddeeff\n", "uuid=00..ff "},
		{"[Exec]\nPrivateUsers=no\nHostname=h\n", "hostname=h users=none:0:65536 "},
		{"[Exec]\nLimitCPU=1h\nLimitNOFILE=5:6\nLimitRTTIME=1s\n",
		 "limit0=3600:3600 limit7=5:6 limit15=1000000:1000000 "},
		{"[Files]\nReadOnly=yes\n", "read-only "},
		{"[Files]\nBindReadOnly=/a\nTemporaryFileSystem=/b\nBind=/c\n",
		 "bind=/a>/a,ro,r,0 tmpfs=>/b,0,mode=0755 bind=/c>/c,r,0 "},
		{"[Network]\nPrivate=yes\n", "private-network "},
		{"[Network]\nVirtualEthernet=yes\n", "veth "},
		{"[X-Nix]\nSystem=/p\nStore=whole\nRollbackOnFailure=yes\n",
		 "nix=/p,whole,rollback "},
		{"[X-Redd]\nStopTimeoutSec=5\nReadyTimeoutSec=infinity\n",
		 "stop=5000000 ready=-1 "},
		{"[Network]\nBridge=br0\n", "veth bridge=br0 "},
		{"[Network]\nZone=z\n", "veth zone=z "},
		{"[Network]\nMACVLAN=eth0 eth1:b\n",
		 "private-network link=2:eth0:mv-eth0 link=2:eth1:b "},
		{"[Network]\nIPVLAN=a-long-name-of-15\n",
		 "private-network link=3:a-long-name-of-15:iv-a-long-n0NRS "},
		{"[Network]\nInterface=eth0 eth1:lan\n",
		 "private-network link=1:eth0: link=1:eth1:lan "},
		{"[Network]\nVirtualEthernetExtra=x\nVirtualEthernetExtra=y:z\n",
		 "private-network link=0:x:x link=0:y:z "},
		{"[Network]\nNamespacePath=/run/netns/x\n", "private-network netns=/run/netns/x "},
		{"[Network]\nVirtualEthernet=yes\nPort=80\nPort=udp:[::1]:5-7:15\n",
		 "veth port=6:80-80:80 port=17:::1:5-7:15 "},
		{"[Network]\nZone=z\n[X-Network]\nAddress=192.0.2.2/24 2001:db8::2/64\n"
		 "Gateway=192.0.2.1\nDNS=192.0.2.3\nCheckSource=no\nVLANs=yes\n",
		 "veth zone=z address=192.0.2.2/24 address=2001:db8::2/64 gateway=192.0.2.1 "
		 "dns=192.0.2.3 any-source vlans "},
		{"[X-Network]\nConfigure=no\n", "unconfigured "},
		{"[X-Network]\nVSock=yes\nAbstractSockets=yes\n", "vsock abstract-sockets "},
		{"[Exec]\nResolvConf=bind-stub\n", "resolv=4:3 "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};
		autofree char *described = NULL;
		autospec struct spec spec = {};

		read_file(&settings, rows[i].text);
		assert_int_equal(spec_resolve(&settings, &in_foreground, &spec), 0);
		described = describe(&spec);
		assert_string_equal(described, rows[i].described);
	}
}

/* Every implemented limit key sets its own field. */
static void test_every_limit(void **state)
{
	autosettings struct settings settings = {};
	autospec struct spec spec = {};

	for (size_t i = 0; i < setting_name_count; i++) {
		const char *key = setting_names[i].key;
		autofree char *text = str_printf("[Exec]\n%s=7\n", key ? key : "");

		if (key && str_after_prefix(key, "Limit"))
			read_file(&settings, text);
	}
	assert_int_equal(spec_resolve(&settings, &in_foreground, &spec), 0);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		assert_true(spec.rlimits[i].is_set);
		assert_int_equal(spec.rlimits[i].value.rlim_cur, 7);
	}
}

/* Everything in the spec as text, to compare two. */
static char *describe_all(const struct settings *settings)
{
	static const struct spec_context context = {.machine = "m",
						    .directory = "/var/lib/machines/m"};
	autospec struct spec spec = {};
	autofree char *described = NULL;

	assert_int_equal(spec_resolve(settings, &context, &spec), 0);
	described = describe(&spec);
	return str_printf("%scaps=%jx machine=%s", described, (intmax_t)spec.caps_bounding,
			  spec.machine);
}

/* Without other settings, except those that the command needs. */
static bool is_for_the_machine(enum setting_id id)
{
	return setting_table[id].group != SETTING_HELP || id == SETTING_QUIET;
}

/* A value that differs from the default. */
static const char *example_of(enum setting_id id)
{
	if (id == SETTING_NETWORK_CONFIGURE || id == SETTING_NETWORK_CHECK_SOURCE)
		return "no";
	return setting_example(setting_table[id].type);
}

/* Settings that need a host0 are tried on a machine with one. */
static const char *const *what_it_needs(enum setting_id id)
{
	static const char *const nothing[] = {WITH_SYSTEM, NULL},
				 *const veth[] = {WITH_SYSTEM, "-n", NULL},
				 *const any_source[] = {WITH_SYSTEM, "-n",
							"--network-check-source=no", NULL};
	enum setting_id group = setting_table[id].group;

	if (id == SETTING_NETWORK_VLANS)
		return any_source;
	return group == SETTING_NETWORK_ADDRESS || group == SETTING_PORT ? veth : nothing;
}

static void check_effect(const struct settings *settings, enum setting_id id)
{
	autosettings struct settings without = {};
	autofree char *described = describe_all(settings);
	autofree char *plain = NULL;

	give(&without, what_it_needs(id));
	plain = describe_all(&without);
	assert_string_not_equal(described, plain);
}

static void check_option(const struct setting_name *name)
{
	const char *value = example_of(name->id);
	bool takes = setting_name_takes_value(name);
	autofree char *option =
		str_printf("--%s%s%s", name->option, takes ? "=" : "", takes ? value : "");
	/* Settings that need a system get one. */
	const char *const *needs = what_it_needs(name->id);
	const char *const words[] = {WITH_SYSTEM, option, needs[1], needs[1] ? needs[2] : NULL,
				     NULL};
	autosettings struct settings settings = {};

	give(&settings, words);
	check_effect(&settings, name->id);
}

static void check_key(const struct setting_name *name)
{
	const char *const *needs = what_it_needs(name->id);
	autofree char *text =
		str_printf("[X-Nix]\nSystem=/p\n[%s]\n%s=%s\n%s%s", name->section, name->key,
			   example_of(name->id), needs[1] ? "[Network]\nVirtualEthernet=yes\n" : "",
			   needs[1] && needs[2] ? "[X-Network]\nCheckSource=no\n" : "");
	autosettings struct settings settings = {};

	read_file(&settings, text);
	check_effect(&settings, name->id);
}

/* From the table: each implemented row has an effect, both as an option and as a key. */
static void test_every_row_arrives(void **state)
{
	unsigned count = 0;

	for (size_t i = 0; i < setting_name_count; i++) {
		const struct setting_name *name = &setting_names[i];

		if (setting_table[name->id].later || !is_for_the_machine(name->id))
			continue;
		if (name->option)
			check_option(name);
		if (name->key)
			check_key(name);
		count += !!name->option + !!name->key;
	}
	assert_true(count > 90);
}

static void test_capabilities(void **state)
{
	static const uint64_t admin = CAPS_BIT(CAP_NET_ADMIN),
			      bind = CAPS_BIT(CAP_NET_BIND_SERVICE), sys = CAPS_BIT(CAP_SYS_ADMIN),
			      kill = CAPS_BIT(CAP_KILL);
	static const struct {
		const char *words[WORDS_MAX];
		uint64_t with, without;
	} rows[] = {
		{{NULL}, sys | kill, admin | bind},
		{{"--private-users=no"}, bind | kill, sys | admin},
		{{"--private-users=no", "--capability=SYS_ADMIN"}, bind | sys, admin},
		{{"--private-users=no", "--private-network"}, bind | admin, sys},
		{{"--private-network"}, bind | admin | sys, 0},
		{{"--private-network", "--drop-capability=CAP_NET_ADMIN"}, bind | sys, admin},
		{{"--capability=CAP_NET_BIND_SERVICE"}, bind, admin},
		{{"--capability=cap_net_admin,CAP_NET_BIND_SERVICE"}, bind | admin, 0},
		{{"--capability=CAP_KILL", "--drop-capability=CAP_KILL"}, sys, kill},
		{{"--drop-capability=CAP_KILL", "--drop-capability=CAP_SYS_ADMIN"}, 0, kill | sys},
		{{"--capability=all"}, UINT64_MAX, 0},
		{{"--capability=all", "--drop-capability=CAP_KILL"}, ~kill, kill},
		{{"--drop-capability=all"}, 0, UINT64_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};
		autospec struct spec spec = {};

		give(&settings, rows[i].words);
		assert_int_equal(spec_resolve(&settings, &in_foreground, &spec), 0);
		assert_true((spec.caps_bounding & rows[i].with) == rows[i].with);
		assert_true((spec.caps_bounding & rows[i].without) == 0);
	}
}

static void test_rules(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *said;
	} rows[] = {
		{{"-b", "--as-pid2"},
		 "error: -b and --as-pid2 cannot be combined: an init runs as PID 1 itself\n"},
		{{"-D/"},
		 "error: the host's own tree / can't be a machine as it is\n"
		 "error:       hint: --ephemeral runs a throw-away copy of it\n"},
		{{"--bind=/a:/proc"},
		 "error: --bind: nothing can be mounted on /proc, /proc is redd's own\n"},
		{{"--tmpfs=/proc/sys"},
		 "error: --tmpfs: nothing can be mounted on /proc/sys, /proc is redd's own\n"},
		{{"--bind-ro=/"},
		 "error: --bind-ro: nothing can be mounted on /, / is redd's own\n"},
		{{"--port=80"},
		 "error: --port: a machine in the host's network has the host's ports; forwarding "
		 "needs one of its own, such as --network-veth\n"},
		{{"--network-bridge=br0", "--network-zone=z"},
		 "error: --network-bridge and --network-zone exclude each other: host0 can be a "
		 "port of one bridge\n"},
		{{"--network-namespace-path=/a", "-n"},
		 "error: --network-namespace-path and -n exclude each other: a namespace that is "
		 "joined has its interfaces already\n"},
		{{"--network-namespace-path=/a", "--network-macvlan=a"},
		 "error: --network-namespace-path and --network-macvlan exclude each other: a "
		 "namespace that is joined has its interfaces already\n"},
		{{"--network-namespace-path=a"},
		 "error: --network-namespace-path: \"a\" is no absolute path\n"},
		{{"-n", "--network-macvlan=a:host0"},
		 "error: two interfaces of the machine would be named host0\n"},
		{{"--network-macvlan=a:b", "--network-interface=b", "--network-veth-extra=c:b"},
		 "error: two interfaces of the machine would be named b\n"},
		{{"--network-veth-extra=sixteen-letters-"},
		 "error: --network-veth-extra: \"sixteen-letters-\" is too long for the name of an "
		 "interface\n"},
		{{"--private-network", "--network-address=192.0.2.2/24"},
		 "error: --network-address: only host0 is given addresses, and the machine has "
		 "none: --network-veth, --network-bridge= or --network-zone= make one\n"},
		{{"-n", "--network-configure=no", "--network-gateway=192.0.2.2"},
		 "error: --network-gateway and --network-configure exclude each other: it leaves "
		 "host0 without addresses\n"},
		{{"-n", "--network-vlans=yes"},
		 "error: --network-vlans: which addresses the machine has in a VLAN is not known, "
		 "so that its source can't be checked: add --network-check-source=no, or leave "
		 "this out\n"},
		{{"--bind=/a:/b:idmap", "--private-users=no"},
		 "error: --bind: an idmap option needs a user namespace, and --private-users "
		 "asks for none\n"},
		{{"--nix-store=closure"}, "error: --nix-store needs " NO_SYSTEM},
		{{"--nix-rollback-on-failure=yes"},
		 "error: --nix-rollback-on-failure needs " NO_SYSTEM},
		{{"--nix-rollback-on-failure=yes", "--nix-store=own", "--nix-system=/p"},
		 "error: --nix-rollback-on-failure needs " NO_SYSTEM},
		{{"--nix-system=result"}, "error: --nix-system: \"result\" is no absolute path\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};
		struct spec spec = {};

		give(&settings, rows[i].words);
		assert_int_equal(spec_resolve(&settings, &in_foreground, &spec), -EINVAL);
		assert_string_equal(captured_text(), rows[i].said);
	}
}

/* If a file breaks a rule, the message names file and line. */
static void test_rule_names_the_file(void **state)
{
	autosettings struct settings settings = {};
	struct spec spec = {};

	read_file(&settings, "[Exec]\nBoot=yes\n\nProcessTwo=yes\n");
	assert_int_equal(spec_resolve(&settings, &in_foreground, &spec), -EINVAL);
	assert_string_equal(captured_text(),
			    "error: f:2: Boot and f:4: ProcessTwo cannot be combined: "
			    "an init runs as PID 1 itself\n");
}

static void test_too_many_mounts(void **state)
{
	autosettings struct settings settings = {};
	struct buf text = {};
	struct spec spec = {};

	buf_add_str(&text, "[Files]\n");
	for (int i = 0; i <= SPEC_MOUNTS_MAX; i++)
		buf_printf(&text, "Bind=/a:/%d\n", i);
	read_file(&settings, text.data);
	buf_done(&text);
	assert_int_equal(spec_resolve(&settings, &in_foreground, &spec), -EINVAL);
	assert_string_equal(captured_text(), "error: f:66: Bind: more than 64 mounts\n");
}

static void test_names(void **state)
{
	static const char long_name[] =
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaa";
	static const char *const plain[] = {NULL}, *const throw_away[] = {"-x", NULL},
				 *const named[] = {"-x", "-M", "given", NULL};
	static const struct {
		const char *const *words;
		struct spec_context context;
		const char *prefix;
		size_t length;
	} rows[] = {
		{plain, {.machine = "m", .directory = "/m"}, "m", 1},
		{throw_away, {.machine = "m", .directory = "/m"}, "m-", 18},
		{throw_away, {.machine = long_name, .directory = "/m"}, "aaaa", 63},
		{throw_away, {.managed = true, .machine = "m", .directory = "/m"}, "m", 1},
		{named, {.machine = "m", .directory = "/m"}, "given", 5},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};
		autospec struct spec spec = {};

		give(&settings, rows[i].words);
		assert_int_equal(spec_resolve(&settings, &rows[i].context, &spec), 0);
		assert_non_null(str_after_prefix(spec.machine, rows[i].prefix));
		assert_int_equal(strlen(spec.machine), rows[i].length);
	}
}

static void test_names_that_fail(void **state)
{
	static const char *const plain[] = {NULL}, *const named[] = {"-M", "a", NULL};
	autosettings struct settings none = {}, missing = {};
	struct spec_context context = {.directory = "/m"};
	struct spec spec = {};

	give(&none, plain);
	assert_int_equal(spec_resolve(&none, &context, &spec), -EINVAL);
	assert_non_null(strstr(captured_text(), "hint: give one with --machine=NAME\n"));
	context.machine = "a_b";
	assert_int_equal(spec_resolve(&none, &context, &spec), -EINVAL);
	assert_non_null(strstr(captured_text(), "\"a_b\" is not a valid machine name"));
	give(&missing, named);
	context = (struct spec_context){};
	assert_int_equal(spec_resolve(&missing, &context, &spec), -EINVAL);
	assert_string_equal(captured_text(),
			    "error: there is no image for machine a; give its tree "
			    "with --directory=PATH\n");
}

static void test_consoles(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		bool managed, tty;
		enum spec_console console;
	} rows[] = {
		{{NULL}, false, true, SPEC_CONSOLE_INTERACTIVE},
		{{NULL}, false, false, SPEC_CONSOLE_READ_ONLY},
		{{NULL}, true, true, SPEC_CONSOLE_PASSIVE},
		{{"--console=autopipe"}, false, true, SPEC_CONSOLE_INTERACTIVE},
		{{"--console=autopipe"}, false, false, SPEC_CONSOLE_PIPE},
		{{"-P"}, false, true, SPEC_CONSOLE_PIPE},
		{{"-P", "--console=interactive"}, false, false, SPEC_CONSOLE_INTERACTIVE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autosettings struct settings settings = {};
		autospec struct spec spec = {};
		struct spec_context context = in_foreground;

		context.managed = rows[i].managed;
		context.stdio_is_tty = rows[i].tty;
		give(&settings, rows[i].words);
		assert_int_equal(spec_resolve(&settings, &context, &spec), 0);
		assert_int_equal(spec.console, rows[i].console);
		assert_int_equal(spec.managed, rows[i].managed);
	}
}

/* The main use case: the defaults of `start`, and their change by one line in a file. */
static void test_start(void **state)
{
	autosettings struct settings settings = {};
	struct spec_context context = in_foreground;
	autospec struct spec spec = {};
	autofree char *described = NULL;

	context.managed = true;
	assert_int_equal(settings_for_start(&settings), 0);
	assert_int_equal(spec_resolve(&settings, &context, &spec), 0);
	described = describe(&spec);
	assert_string_equal(described, "start=boot console=passive veth ");
	assert_true(spec.caps_bounding & CAPS_BIT(CAP_NET_ADMIN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		captured_test(test_options),
		captured_test(test_keys),
		captured_test(test_every_limit),
		captured_test(test_every_row_arrives),
		captured_test(test_capabilities),
		captured_test(test_rules),
		captured_test(test_rule_names_the_file),
		captured_test(test_too_many_mounts),
		captured_test(test_names),
		captured_test(test_names_that_fail),
		captured_test(test_consoles),
		captured_test(test_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
