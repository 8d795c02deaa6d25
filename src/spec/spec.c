/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The spec as a container of what it owns. Must never decide anything. Caller's side of clone(). */
#include "spec/spec.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/caps.h"
#include "lib/str.h"

void spec_init(struct spec *spec)
{
	*spec = (struct spec){
		.notify_ready = -1,
		.users = SPEC_USERS_PICK,
		.uid_range = 65536,
		.configure_network = true,
		.check_source = true,
		.caps_bounding = caps_default(true, false),
		.stop_timeout_us = SPEC_STOP_TIMEOUT_US,
		.ready_timeout_us = SPEC_READY_TIMEOUT_US,
	};
}

static void mount_done(struct spec_mount *mount)
{
	free(mount->source);
	free(mount->target);
	free(mount->options);
}

static void network_done(struct spec *spec)
{
	free(spec->bridge);
	free(spec->zone);
	free(spec->netns_path);
	for (size_t i = 0; i < spec->link_count; i++) {
		free(spec->links[i].host);
		free(spec->links[i].guest);
	}
	free(spec->links);
	free(spec->ports);
	(void)strv_free(spec->port_origins);
	free(spec->addresses);
	free(spec->gateways);
	free(spec->name_servers);
}

void spec_done(struct spec *spec)
{
	int saved = errno;

	free(spec->machine);
	free(spec->hostname);
	free(spec->directory);
	(void)strv_free(spec->parameters);
	(void)strv_free(spec->environment);
	free(spec->nix_system);
	free(spec->user);
	free(spec->chdir);
	for (size_t i = 0; i < spec->mount_count; i++)
		mount_done(&spec->mounts[i]);
	free(spec->mounts);
	network_done(spec);
	*spec = (struct spec){};
	errno = saved;
}

int spec_add_mount(struct spec *spec, const struct spec_mount *mount)
{
	struct spec_mount *grown;

	if (spec->mount_count >= SPEC_MOUNTS_MAX)
		return -E2BIG;
	grown = reallocarray(spec->mounts, spec->mount_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	spec->mounts = grown;
	spec->mounts[spec->mount_count++] = *mount;
	return 0;
}
