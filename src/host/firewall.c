/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine's own tables of the packet filter, set as a whole. Quiet. Supervisor's side. */
#include "host/firewall.h"

#include <errno.h>
#include <net/if.h>

#include "host/firewall_tables.h"
#include "kernel/nft.h"
#include "lib/str.h"

int firewall_open(void)
{
	autoclose int socket = nft_open();
	int r = socket < 0 ? socket : nft_probe(socket);

	return r < 0 ? r : take_fd(&socket);
}

/*
 * Connections outlive their rules: a translation is kept with its connection. Only what is there is
 * deleted: after a deletion the kernel lets whoever closes a socket of the packet filter wait for a
 * grace period, and a start shall not wait.
 */
static void renew_table(struct nft_batch *batch, uint8_t family, const char *name, bool exists,
			bool is_wanted)
{
	if (exists)
		nft_delete_table(batch, family, name);
	if (is_wanted)
		nft_add_table(batch, family, name, NFT_TABLE_F_OWNER);
}

/* The kernel says "no such file" for a missing device and for a kind of chain or rule it lacks. */
static int explain(int r, int refused, const struct firewall_rules *rules)
{
	if (r != -ENOENT)
		return r;
	if (refused == NFT_MSG_NEWCHAIN && rules->link && if_nametoindex(rules->link) == 0)
		return -ENODEV;
	return -EOPNOTSUPP;
}

bool firewall_is_set(const char *machine)
{
	autofree char *table = str_printf("redd-%s", machine);
	autoclose int socket = nft_open();

	return table && socket >= 0 && nft_has_table(socket, NFPROTO_INET, table) > 0;
}

int firewall_set(int firewall, const struct firewall_rules *rules)
{
	autofree char *table = str_printf("redd-%s", rules->machine);
	struct nft_batch batch = {};
	int refused, has_inet, has_netdev, r;

	if (!table)
		return -ENOMEM;
	has_inet = nft_has_table(firewall, NFPROTO_INET, table);
	has_netdev = nft_has_table(firewall, NFPROTO_NETDEV, table);
	if (has_inet < 0 || has_netdev < 0)
		return has_inet < 0 ? has_inet : has_netdev;
	renew_table(&batch, NFPROTO_INET, table, has_inet, true);
	firewall_add_nat(&batch, table, rules);
	renew_table(&batch, NFPROTO_NETDEV, table, has_netdev, rules->link);
	if (rules->link)
		firewall_add_ingress(&batch, table, rules);
	r = nft_batch_send(firewall, &batch, &refused);
	return explain(r, refused, rules);
}
