/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The array of subjects, walked forwards to make a machine and backwards to undo it. Must never
 * know what a subject owns. Supervisor's side.
 */
#include <fcntl.h>
#include <string.h>

#include "host/host.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"

/*
 * The order of the ops within each stage. The users come first, since most subjects depend on them;
 * then namespaces and the tree; what lies in /run and /dev after the file systems there; people's
 * own mounts after all of these. The network waits for the holder, so it comes late.
 */
const struct host_module *const host_modules[] = {
	&host_module_idmap,   &host_module_image,   &host_module_root,	  &host_module_store,
	&host_module_cgroup,  &host_module_devices, &host_module_rundir,  &host_module_resolv,
	&host_module_mounts,  &host_module_apivfs,  &host_module_network, &host_module_terminal,
	&host_module_process, &host_module_payload,
};
const size_t host_module_count = ARRAY_SIZE(host_modules);

void host_init(struct host *host, const struct spec *spec, int image_fd, int machine_dir)
{
	*host = (struct host){
		.spec = spec,
		.notify_fd = -1,
		.scratch_fd = -1,
		.uid_lock_fd = -1,
		.guest_rtnl_fd = -1,
		.firewall_fd = -1,
		.home_mount_ns_fd = -1,
		.cgroup_fd = -1,
		.v1_pids_fd = -1,
	};
	for (int i = 0; i < PLAN_SLOT_COUNT; i++)
		host->slots[i] = -1;
	host->slots[PLAN_SLOT_CWD] = AT_FDCWD;
	host->slots[PLAN_SLOT_IMAGE] = image_fd;
	host->slots[PLAN_SLOT_MACHINE_DIR] = machine_dir;
	host->slots[PLAN_SLOT_STDIN] = STDIN_FILENO;
	host->slots[PLAN_SLOT_STDOUT] = STDOUT_FILENO;
	host->slots[PLAN_SLOT_STDERR] = STDERR_FILENO;
}

void host_set_slot(struct host *host, enum plan_slot slot, int fd)
{
	if (host->slots[slot] >= 0 && host->slots[slot] != fd)
		(void)close(host->slots[slot]);
	host->slots[slot] = fd;
}

int host_begin(struct host *host)
{
	for (size_t i = 0; i < host_module_count; i++) {
		int r = host_modules[i]->begin ? host_modules[i]->begin(host) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int host_prepare(struct host *host)
{
	host_read_id(&host->facts);
	for (size_t i = 0; i < host_module_count; i++) {
		int r = host_modules[i]->prepare ? host_modules[i]->prepare(host) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* PID 1 is made, and told to go on when everything that the subjects put in place stands. */
static void plan_handing_over(const struct host_facts *facts, struct plan *plan)
{
	const enum plan_stage setup = PLAN_STAGE_SETUP;

	PLAN_ADD(plan, .kind = PLAN_OP_CLONE_OUTER, .stage = setup, .out = PLAN_SLOT_LEADER);
	PLAN_ADD(plan, .kind = PLAN_OP_CLONE_VIEWS, .stage = setup, .in = PLAN_SLOT_LEADER);
	/* The v1 controller filters only processes that were moved into its cgroup. */
	if (facts->has_v1_devices)
		PLAN_ADD(plan, .kind = PLAN_OP_HOST, .stage = setup, .path = "cgroup",
			 .data = "v1 device filter");
	/* Its init may take over the cgroup that the holder is in. */
	PLAN_ADD(plan, .kind = PLAN_OP_END_HOLDER, .stage = setup);
	PLAN_ADD(plan, .kind = PLAN_OP_HAND_OVER, .stage = setup);
}

int host_plan(const struct spec *spec, const struct host_facts *facts, struct plan *ret)
{
	autoplan struct plan plan = {};
	const char *why;
	int r;

	for (size_t i = 0; i < host_module_count; i++)
		if (host_modules[i]->plan)
			host_modules[i]->plan(spec, facts, &plan);
	plan_handing_over(facts, &plan);
	plan_finish(&plan);
	if (plan.error < 0)
		return log_oom();
	r = plan_verify(&plan, &why);
	if (r < 0)
		return log_error(r,
				 "refusing to carry out a plan that is not safe: %s "
				 "(a defect of redd; `redd run --explain` shows the plan)",
				 why);
	*ret = plan;
	plan = (struct plan){};
	return 0;
}

int host_attach(struct host *host, const char *module)
{
	for (size_t i = 0; i < host_module_count; i++)
		if (streq(host_modules[i]->name, module) && host_modules[i]->attach)
			return host_modules[i]->attach(host);
	return -ENOSYS;
}

int host_look(const struct spec *spec, int image_fd, struct host_facts *ret)
{
	struct host host;
	int r;

	host_init(&host, spec, image_fd, -1);
	host.only_looks = true;
	r = host_begin(&host);
	if (r >= 0)
		r = host_prepare(&host);
	if (r >= 0) {
		*ret = host.facts;
		host.facts = (struct host_facts){};
	}
	host_undo(&host);
	return r;
}

static bool slot_is_borrowed(int slot)
{
	static const enum plan_slot borrowed[] = {
		PLAN_SLOT_NONE,	 PLAN_SLOT_CWD,	   PLAN_SLOT_IMAGE,  PLAN_SLOT_MACHINE_DIR,
		PLAN_SLOT_STDIN, PLAN_SLOT_STDOUT, PLAN_SLOT_STDERR,
	};

	for (size_t i = 0; i < ARRAY_SIZE(borrowed); i++)
		if (slot == (int)borrowed[i])
			return true;
	return false;
}

void host_close_mounts(struct host *host)
{
	/* The slots before it stay: the image, the machine's directory, its cgroups. */
	for (int slot = PLAN_SLOT_USERNS; slot < PLAN_SLOT_COUNT; slot++)
		if (!slot_is_borrowed(slot))
			host_set_slot(host, slot, -1);
}

void host_undo(struct host *host)
{
	for (size_t i = host_module_count; i-- > 0;)
		if (host_modules[i]->undo)
			host_modules[i]->undo(host);
	for (int slot = 0; slot < PLAN_SLOT_COUNT; slot++)
		if (!slot_is_borrowed(slot))
			host_set_slot(host, slot, -1);
	host_facts_done(&host->facts);
}

void host_note_leftovers(struct host *host, int error, const char *kind, const char *name)
{
	log_warning_errno(error, "give back %s %s; the next command tries again", kind, name);
	host->has_leftovers = true;
}

void host_clean_leftovers(uint64_t deadline_us)
{
	for (size_t i = 0; i < host_module_count; i++)
		if (host_modules[i]->clean)
			host_modules[i]->clean(deadline_us);
}

void host_facts_done(struct host_facts *facts)
{
	for (size_t i = 0; i < host_module_count; i++)
		if (host_modules[i]->done)
			host_modules[i]->done(facts);
	*facts = (struct host_facts){};
}
