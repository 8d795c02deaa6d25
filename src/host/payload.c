/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program, its user and its environment. Users are read from the guest's files by our own
 * parser, and must never come from the host's database or from code of the guest (X05, X10). The
 * environment must never contain anything of the caller's (X04). Supervisor's side.
 */
#include <stdlib.h>

#include "host/host.h"
#include "lib/macro.h"
#include "lib/path.h"
#include "lib/str.h"
#include "lib/userdb.h"
#include "log/log.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PATH_PROFILE ":/run/current-system/sw/bin:/nix/var/nix/profiles/system/sw/bin"

/* $container_host_… and the key of the host's os-release whose value it has. */
static const char *const host_os_keys[][2] = {
	{"container_host_id", "ID"},
	{"container_host_version_id", "VERSION_ID"},
	{"container_host_build_id", "BUILD_ID"},
	{"container_host_variant_id", "VARIANT_ID"},
};

static void take_user(struct host_facts *facts, struct userdb_user *user)
{
	facts->user_name = take_ptr(user->name);
	facts->user_home = take_ptr(user->home);
	facts->user_shell = take_ptr(user->shell);
	facts->user_groups = take_ptr(user->groups);
	facts->user_group_count = user->group_count;
	facts->user_uid = user->uid;
	facts->user_gid = user->gid;
}

static int payload_prepare(struct host *host)
{
	const char *who = host->spec->user ? host->spec->user : "root";
	autouser struct userdb_user user = {};
	int r = userdb_find(host->slots[PLAN_SLOT_IMAGE], host->spec->user, &user);

	if (r == -ESRCH)
		return log_error(r, "there is no user %s in %s: see its /etc/passwd", who,
				 host->spec->directory);
	if (r < 0)
		return log_errno(r, "look up user %s in %s", who, host->spec->directory);
	take_user(&host->facts, &user);
	return 0;
}

static const char *environment_value(char *const *environment, const char *name)
{
	const char *value = NULL;

	for (; environment && *environment; environment++) {
		const char *rest = str_after_prefix(*environment, name);

		if (rest && *rest == '=')
			value = rest + 1;
	}
	return value;
}

static bool has_variable(char *const *environment, const char *assignment)
{
	autofree char *name = strndup(assignment, strcspn(assignment, "="));

	return name && environment_value(environment, name);
}

static void add_variable(struct plan *plan, const struct spec *spec, char ***env, const char *text)
{
	if (text && !has_variable(spec->environment, text) && strv_add(env, text) < 0)
		plan->error = -ENOMEM;
}

static const char *default_path(const struct host_facts *facts)
{
	return facts->has_profile ? PATH_DEFAULT PATH_PROFILE : PATH_DEFAULT;
}

static void add_host_variables(const struct spec *spec, const struct host_facts *facts,
			       struct plan *plan, char ***env)
{
	for (size_t i = 0; i < ARRAY_SIZE(host_os_keys); i++) {
		const char *value = os_release_get(&facts->host_os, host_os_keys[i][1]);

		if (value)
			add_variable(plan, spec, env,
				     plan_printf(plan, "%s=%s", host_os_keys[i][0], value));
	}
}

static char *const *plan_environment(const struct spec *spec, const struct host_facts *facts,
				     struct plan *plan)
{
	const char *user = facts->user_name ? facts->user_name : "root";
	const char *home = facts->user_home ? facts->user_home : "/";
	autostrv char **env = NULL;

	add_variable(plan, spec, &env, plan_printf(plan, "PATH=%s", default_path(facts)));
	add_variable(plan, spec, &env, "container=systemd-nspawn");
	add_variable(plan, spec, &env, plan_printf(plan, "container_uuid=%s", facts->uuid));
	add_host_variables(spec, facts, plan, &env);
	add_variable(plan, spec, &env,
		     plan_printf(plan, "TERM=%s",
				 facts->term			      ? facts->term
				 : spec->console == SPEC_CONSOLE_PIPE ? "dumb"
								      : "vt220"));
	add_variable(plan, spec, &env, plan_printf(plan, "HOME=%s", home));
	add_variable(plan, spec, &env, plan_printf(plan, "USER=%s", user));
	add_variable(plan, spec, &env, plan_printf(plan, "LOGNAME=%s", user));
	if (spec->start == SPEC_START_BOOT || spec->notify_ready > 0)
		add_variable(plan, spec, &env, "NOTIFY_SOCKET=/run/host/notify");
	if (spec->store == SPEC_STORE_DAEMON)
		add_variable(plan, spec, &env, "NIX_REMOTE=daemon");
	for (char *const *own = spec->environment; own && *own; own++)
		if (strv_add(&env, *own) < 0)
			plan->error = -ENOMEM;
	return plan_strv(plan, env);
}

/* The paths where a shell would look for the command; the child tries them in order. */
static char *const *search_path(const struct spec *spec, const struct host_facts *facts,
				struct plan *plan)
{
	const char *path = environment_value(spec->environment, "PATH");
	const char *command = spec->parameters[0];
	autostrv char **directories = NULL;
	autostrv char **candidates = NULL;

	if (strchr(command, '/')) {
		if (strv_add(&candidates, command) < 0)
			plan->error = -ENOMEM;
		return plan_strv(plan, candidates);
	}
	if (strv_split(path ? path : default_path(facts), ":", &directories) < 0)
		plan->error = -ENOMEM;
	for (char **dir = directories; dir && *dir; dir++)
		if (strv_add_owned(&candidates, str_printf("%s/%s", *dir, command)) < 0)
			plan->error = -ENOMEM;
	return plan_strv(plan, candidates);
}

static void plan_shell(const struct host_facts *facts, struct plan *plan, struct plan_op *exec)
{
	const char *shell = str_is_empty(facts->user_shell) ? "/bin/bash" : facts->user_shell;
	char *candidates[] = {(char *)shell, (char *)"/bin/bash", (char *)"/bin/sh", NULL};
	char *argv[] = {(char *)plan_printf(plan, "-%s", path_last(shell)), NULL};

	exec->candidates = plan_strv(plan, candidates);
	exec->argv = plan_strv(plan, argv);
}

static void plan_init(const struct spec *spec, const struct host_facts *facts, struct plan *plan,
		      struct plan_op *exec)
{
	autostrv char **argv = NULL;
	const char *name = facts->init_candidates ? facts->init_candidates[0] : "/sbin/init";
	int r = strv_add(&argv, name);

	for (char *const *word = spec->parameters; word && *word && r >= 0; word++)
		r = strv_add(&argv, *word);
	if (r < 0)
		plan->error = r;
	exec->candidates = plan_strv(plan, facts->init_candidates);
	exec->argv = plan_strv(plan, argv);
}

static void payload_plan(const struct spec *spec, const struct host_facts *facts, struct plan *plan)
{
	struct plan_op exec = {.kind = PLAN_OP_EXEC, .stage = PLAN_STAGE_INNER};

	if (spec->start == SPEC_START_BOOT) {
		plan_init(spec, facts, plan, &exec);
	} else if (!spec->parameters || !spec->parameters[0]) {
		plan_shell(facts, plan, &exec);
	} else {
		exec.candidates = search_path(spec, facts, plan);
		exec.argv = plan_strv(plan, spec->parameters);
	}
	exec.envp = plan_environment(spec, facts, plan);
	PLAN_ADD(plan, .kind = PLAN_OP_SETUSER, .stage = PLAN_STAGE_INNER, .uid = facts->user_uid,
		 .gid = facts->user_gid, .blob = facts->user_groups,
		 .blob_count = facts->user_group_count);
	plan_add(plan, &exec);
}

static void payload_done(struct host_facts *facts)
{
	free(facts->user_name);
	free(facts->user_groups);
	free(facts->user_home);
	free(facts->user_shell);
}

const struct host_module host_module_payload = {
	.name = "payload",
	.prepare = payload_prepare,
	.plan = payload_plan,
	.done = payload_done,
};
