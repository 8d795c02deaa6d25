/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine's network in its state. Must not act on the network. Supervisor's side. */
#include "supervise/network_state.h"

#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "net/names.h"

#define NAME_NOTE "its name is " /* how the note on the name begins */

/* What the packet filter does besides ports: `nft list ruleset` tells how. */
static int set_rules(struct machine_state *state, const struct spec *spec,
		     const struct host_network *network, bool has_filter)
{
	const struct {
		bool holds;
		const char *rule;
	} rows[] = {
		{*network->link && !has_filter, "none: no packet filter"},
		{network->is_masqueraded && has_filter, "masquerade"},
		{*network->link && spec->check_source && has_filter, "check-source"},
	};
	int r = 0;

	state->network_rules = strv_free(state->network_rules);
	for (size_t i = 0; i < ARRAY_SIZE(rows) && r >= 0; i++)
		if (rows[i].holds)
			r = strv_add(&state->network_rules, rows[i].rule);
	return r;
}

static int add_blocker(struct machine_state *state, const char *what, const char *mend)
{
	autofree char *note = str_printf("%s keeps the machine from the world%s%s", what,
					 mend ? ": " : "", mend ? mend : "");

	log_warning("machine %s: %s keeps it from the world", state->name, what);
	if (mend)
		log_hint("%s", mend);
	return note ? strv_add(&state->network_notes, note) : -ENOMEM;
}

void network_state_describe(struct machine_state *state, const struct spec *spec,
			    const struct host_network *network, bool has_filter)
{
	const struct firewall_others *others = &network->others;
	int r = set_rules(state, spec, network, has_filter);

	state->network_notes = strv_free(state->network_notes);
	if (r >= 0 && network->server == HOST_NETWORK_NETWORKD)
		r = strv_add(&state->network_notes,
			     "systemd-networkd of this host serves the machine's link");
	if (r >= 0 && network->is_masqueraded && others->what)
		r = add_blocker(state, others->what, others->mend);
	if (r >= 0)
		r = str_replace(&state->zone, spec->zone);
	if (r >= 0)
		r = str_replace(&state->bridge, spec->bridge);
	if (r < 0)
		(void)log_oom();
}

void network_state_set_ports(struct machine_state *state, const struct net_port *ports,
			     size_t count)
{
	char text[NET_PORT_TEXT];
	int r = 0;

	state->ports = strv_free(state->ports);
	for (size_t i = 0; i < count && r >= 0; i++)
		r = strv_add(&state->ports, net_port_format(&ports[i], text));
	if (r < 0)
		(void)log_oom();
}

void network_state_set_addresses(struct machine_state *state, const struct net_address *addresses,
				 size_t count)
{
	char text[NET_ADDRESS_TEXT];
	int r = 0;

	state->addresses = strv_free(state->addresses);
	for (size_t i = 0; i < count && r >= 0; i++)
		r = strv_add(&state->addresses, net_address_format(&addresses[i], text));
	if (r < 0)
		(void)log_oom();
}

/* Whether the bare name is free depends on /etc/hosts, too, whenever the addresses change. */
void network_state_note_name(struct machine_state *state, const struct net_address *addresses,
			     size_t count)
{
	const char *reason = count > 0 ? net_name_conflict(state->name, addresses, count) : NULL;
	autostrv char **kept = NULL;
	autofree char *note = NULL;
	int r = 0;

	if (reason) {
		note = str_printf(NAME_NOTE "%s" NET_NAMES_SUFFIX " here, and not the bare %s: %s",
				  state->name, state->name, reason);
		r = note ? 0 : -ENOMEM;
	}
	if (note && !strv_contains(state->network_notes, note))
		log_warning("machine %s: %s", state->name, note);
	for (char **old = state->network_notes; old && *old && r >= 0; old++)
		if (!str_after_prefix(*old, NAME_NOTE))
			r = strv_add(&kept, *old);
	if (r >= 0 && note)
		r = strv_add(&kept, note);
	if (r < 0) {
		(void)log_oom();
		return;
	}
	(void)strv_free(state->network_notes);
	state->network_notes = take_ptr(kept);
}
