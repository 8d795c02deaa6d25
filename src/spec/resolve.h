/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the steps of spec_resolve() share. Each is loud: 0, -EINVAL or -ENOMEM. */
#pragma once

#include "settings/settings.h"
#include "spec/spec.h"

struct resolution {
	const struct settings *settings;
	const struct spec_context *context;
	struct spec *spec;
};

int spec_resolve_identity(struct resolution *resolution);
int spec_resolve_tree(struct resolution *resolution);
int spec_resolve_nix(struct resolution *resolution);
int spec_resolve_start(struct resolution *resolution);
int spec_resolve_environment(struct resolution *resolution);
int spec_resolve_console(struct resolution *resolution);
int spec_resolve_users(struct resolution *resolution);
int spec_resolve_network(struct resolution *resolution);      /* network.c */
int spec_resolve_capabilities(struct resolution *resolution); /* behind users and network */
int spec_resolve_rlimits(struct resolution *resolution);
int spec_resolve_mounts(struct resolution *resolution); /* behind users */
