/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine's own tables of the packet filter, set as a whole. Quiet. Supervisor's side. */
#include "firewall/firewall.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "firewall/ruleset.h"
#include "firewall/send.h"
#include "lib/str.h"

#define TABLE_PREFIX "redd-"
/* No name of a machine has a slash. */
#define KEPT_SUFFIX "/kept"
#define COMMENT_MAX 128
/* Others may change their rules, or clean as we do, at the same time. */
#define CLEAN_TRIES 8

/* The tables that exist for one machine. */
struct tables {
	char *name; /* of the two that have an owner */
	char *kept; /* of the one that has none */
	char *mark;
	bool has_inet, has_netdev, has_kept;
};

static void tables_done(struct tables *tables)
{
	free(tables->name);
	free(tables->kept);
	free(tables->mark);
}

static int find_table(int firewall, uint8_t family, const char *name, bool *ret)
{
	int r = nft_has_table(firewall, family, name);

	*ret = r > 0;
	return r;
}

static int find_tables(int firewall, const char *machine, struct tables *ret)
{
	int r;

	*ret = (struct tables){
		.name = str_printf(TABLE_PREFIX "%s", machine),
		.kept = str_printf(TABLE_PREFIX "%s" KEPT_SUFFIX, machine),
		.mark = str_printf(FIREWALL_MARK "%s", machine),
	};
	if (!ret->name || !ret->kept || !ret->mark)
		return -ENOMEM;
	r = find_table(firewall, NFPROTO_INET, ret->name, &ret->has_inet);
	if (r >= 0)
		r = find_table(firewall, NFPROTO_NETDEV, ret->name, &ret->has_netdev);
	if (r >= 0)
		r = find_table(firewall, NFPROTO_NETDEV, ret->kept, &ret->has_kept);
	return r;
}

int firewall_open(void)
{
	autoclose int socket = nft_open();
	int r = socket < 0 ? socket : nft_probe(socket);

	return r < 0 ? r : take_fd(&socket);
}

/*
 * Connections outlive their rules: a translation is kept with its connection. Deletes only tables
 * that exist: after a deletion, whoever closes a socket of the packet filter waits for a grace
 * period of the kernel, and a start must not wait.
 */
static void delete_tables(struct nft_batch *batch, const struct tables *tables)
{
	if (tables->has_inet)
		nft_delete_table(batch, NFPROTO_INET, tables->name);
	if (tables->has_netdev)
		nft_delete_table(batch, NFPROTO_NETDEV, tables->name);
	if (tables->has_kept)
		nft_delete_table(batch, NFPROTO_NETDEV, tables->kept);
}

static void add_netdev(struct nft_batch *batch, const char *name, uint32_t flags,
		       const struct tables *tables, const struct firewall_rules *rules,
		       const char *link)
{
	nft_add_table(batch, NFPROTO_NETDEV, name, flags, tables->mark);
	firewall_send(batch, rules, FIREWALL_OURS_NETDEV, name, link);
}

static int send_rules(int firewall, const struct tables *tables, const struct firewall_rules *rules,
		      const char *link, bool persists, int *ret_refused)
{
	uint32_t flags = NFT_TABLE_F_OWNER | (persists ? NFT_TABLE_PERSISTS : 0);
	struct nft_batch batch = {};

	delete_tables(&batch, tables);
	nft_add_table(&batch, NFPROTO_INET, tables->name, NFT_TABLE_F_OWNER, tables->mark);
	firewall_send(&batch, rules, FIREWALL_OURS_INET, tables->name, NULL);
	if (link)
		add_netdev(&batch, tables->name, flags, tables, rules, link);
	/* Neither a flush of all rules nor the supervisor's death alone removes both. */
	if (link && !persists)
		add_netdev(&batch, tables->kept, 0, tables, rules, link);
	firewall_send(&batch, rules, FIREWALL_OTHERS, tables->mark, NULL);
	return nft_batch_send(firewall, &batch, ret_refused);
}

/* The kernel says "no such file" for a missing device and for a kind of chain or rule it lacks. */
static int explain(int r, int refused, const char *link)
{
	if (r != -ENOENT)
		return r;
	if (refused == NFT_MSG_NEWCHAIN && link && if_nametoindex(link) == 0)
		return -ENODEV;
	return -EOPNOTSUPP;
}

bool firewall_is_set(const char *machine)
{
	autofree char *table = str_printf(TABLE_PREFIX "%s", machine);
	autoclose int socket = firewall_open();

	if (socket == -EOPNOTSUPP || socket == -EPROTONOSUPPORT)
		return false;
	/* In doubt it lives: what it has is not taken from it. */
	return !table || socket < 0 || nft_has_table(socket, NFPROTO_INET, table) != 0;
}

/*
 * A guess from the version, because a refusal costs a start a grace period of the kernel. The
 * kernel's answer decides. Tests use `setarch --uname-2.6` to get what older kernels get.
 */
static bool kernel_may_persist(void)
{
	struct utsname kernel;
	unsigned long major, minor;
	char *rest;

	if (uname(&kernel) < 0)
		return false;
	major = strtoul(kernel.release, &rest, 10);
	minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
	return major > 6 || (major == 6 && minor >= 9);
}

int firewall_set(int firewall, const struct firewall_config *config)
{
	autocall(tables_done) struct tables tables = {};
	autorules struct firewall_rules rules = {};
	bool persists = kernel_may_persist();
	int refused, r = firewall_rules_make(config, &rules);

	if (r >= 0)
		r = find_tables(firewall, config->machine, &tables);
	if (r < 0)
		return r;
	r = send_rules(firewall, &tables, &rules, config->link, persists, &refused);
	if (persists && r == -EOPNOTSUPP && refused == NFT_MSG_NEWTABLE)
		r = send_rules(firewall, &tables, &rules, config->link, false, &refused);
	return explain(r, refused, config->link);
}

int firewall_close(int firewall, const char *machine)
{
	autocall(tables_done) struct tables tables = {};
	struct nft_batch batch = {};
	int refused, r = find_tables(firewall, machine, &tables);

	delete_tables(&batch, &tables);
	if (r >= 0 && batch.size > 0)
		r = nft_batch_send(firewall, &batch, &refused);
	nft_batch_done(&batch);
	(void)close(firewall);
	return r < 0 ? r : 0;
}

struct cleaning {
	bool (*is_alive)(const char *machine);
	struct nft_batch batch;
};

/* The machine that it confined; a new string, or NULL: not ours, or its supervisor lives. */
static char *left_by(const struct nlattr *const of[])
{
	const char *name = str_after_prefix(nft_text(of[NFTA_TABLE_NAME]), TABLE_PREFIX);
	char comment[COMMENT_MAX];
	const char *machine;
	size_t length;

	nft_comment(of[NFTA_TABLE_USERDATA], comment, sizeof(comment));
	machine = str_after_prefix(comment, FIREWALL_MARK);
	if (!name || !machine || nft_u32(of[NFTA_TABLE_FLAGS]) & NFT_TABLE_F_OWNER)
		return NULL;
	length = strlen(machine);
	if (strncmp(name, machine, length) != 0 ||
	    (name[length] != '\0' && !streq(name + length, KEPT_SUFFIX)))
		return NULL;
	return strdup(machine);
}

static int clean_table(void *context, uint8_t family, const struct nlattr *attributes, size_t size)
{
	struct cleaning *cleaning = context;
	const struct nlattr *of[NFTA_TABLE_MAX + 1];
	autofree char *machine = NULL;

	nft_parse(attributes, size, of, ARRAY_SIZE(of));
	machine = family == NFPROTO_NETDEV ? left_by(of) : NULL;
	if (machine && !cleaning->is_alive(machine))
		nft_delete_table_by_handle(&cleaning->batch, family,
					   nft_u64(of[NFTA_TABLE_HANDLE]));
	return 0;
}

static int clean(int socket, bool (*is_alive)(const char *machine))
{
	struct cleaning cleaning = {.is_alive = is_alive};
	struct nft_query netdev = {.family = NFPROTO_NETDEV};
	int refused, r = nft_list(socket, NFT_MSG_GETTABLE, &netdev, clean_table, &cleaning);

	if (r >= 0 && cleaning.batch.size > 0)
		r = nft_batch_send(socket, &cleaning.batch, &refused);
	nft_batch_done(&cleaning.batch);
	return r;
}

int firewall_clean(bool (*is_alive)(const char *machine))
{
	autoclose int socket = firewall_open();
	int r = socket < 0 ? socket : -EINTR;

	for (int i = 0; (r == -EINTR || r == -ENOENT) && i < CLEAN_TRIES; i++)
		r = clean(socket, is_alive);
	return r == -EOPNOTSUPP || r == -EPROTONOSUPPORT ? 0 : r;
}
