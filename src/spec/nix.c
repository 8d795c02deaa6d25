/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which system of the host's Nix store a machine boots, and what it sees of the store. Must never
 * look into the store: what the profile leads to is asked when the machine starts. Caller's side.
 */
#include <errno.h>

#include "lib/path.h"
#include "lib/str.h"
#include "log/log.h"
#include "settings/value.h"
#include "spec/resolve.h"

static enum spec_store store_of(const char *text, bool has_system)
{
	static const enum spec_store stores[] = {
		[VALUE_NIX_STORE_OWN] = SPEC_STORE_OWN,
		[VALUE_NIX_STORE_CLOSURE] = SPEC_STORE_CLOSURE,
		[VALUE_NIX_STORE_WHOLE] = SPEC_STORE_WHOLE,
		[VALUE_NIX_STORE_DAEMON] = SPEC_STORE_DAEMON,
	};
	enum value_nix_store store = has_system ? VALUE_NIX_STORE_CLOSURE : VALUE_NIX_STORE_OWN;

	if (text)
		(void)value_parse_nix_store(text, &store);
	return stores[store];
}

static int need_system(const struct setting_value *asked)
{
	(void)log_error(-EINVAL, "%s needs a system to boot, and none is named", asked->origin);
	log_hint("System= in section [X-Nix], or --nix-system=PATH, names a profile or a path of "
		 "/nix/store");
	return -EINVAL;
}

int spec_resolve_nix(struct resolution *resolution)
{
	const struct settings *settings = resolution->settings;
	const struct setting_value *system = settings_get(settings, SETTING_NIX_SYSTEM);
	struct spec *spec = resolution->spec;

	spec->store = store_of(settings_text(settings, SETTING_NIX_STORE), system != NULL);
	spec->nix_rollback = settings_bool(settings, SETTING_NIX_ROLLBACK, false);
	if (!system && spec->store != SPEC_STORE_OWN)
		return need_system(settings_get(settings, SETTING_NIX_STORE));
	if (spec->nix_rollback && (!system || spec->store == SPEC_STORE_OWN))
		return need_system(settings_get(settings, SETTING_NIX_ROLLBACK));
	if (!system || spec->store == SPEC_STORE_OWN)
		return 0;
	if (!path_is_absolute(system->text))
		return log_error(-EINVAL, "%s: \"%s\" is no absolute path", system->origin,
				 system->text);
	spec->nix_system = path_simplify(system->text);
	return spec->nix_system ? 0 : log_oom();
}
