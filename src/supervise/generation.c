/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Generations of a NixOS machine that boots from the host's store: the last one that became ready
 * is remembered on disk, and one that doesn't become ready is rolled back to it, where the settings
 * ask for that. Must never roll back what a person has ended. Supervisor's side.
 */
#include <fcntl.h>
#include <limits.h>

#include "host/store.h"
#include "lib/fs.h"
#include "lib/io.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "nix/nix.h"
#include "supervise/internal.h"

#define GOOD "good"

static int open_dir(const char *profile)
{
	autofree char *path = str_printf(STORE_STATE_DIR "/%s", profile);
	int r = path ? fs_make_dirs(path, 0755) : -ENOMEM;
	int fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? (r < 0 ? r : -errno) : fd;
}

static char *read_good(const char *profile)
{
	autoclose int dir = open_dir(profile);
	char *text = NULL;

	if (dir < 0 || io_read_file_at(dir, GOOD, PATH_MAX, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

void generation_note_good(struct supervisor *s)
{
	const char *system = s->host.facts.store_system;
	autofree char *profile = system ? store_profile_machine(s->spec->nix_system) : NULL;
	autofree char *known = profile ? read_good(profile) : NULL;
	autofree char *text = profile ? str_printf("%s\n", system) : NULL;
	autoclose int dir = -1;
	int r;

	event_disarm_timer(s->loop, &s->ready_timer);
	s->has_rolled_back = false;
	if (!text || (known && streq(known, system)))
		return;
	dir = open_dir(profile);
	r = dir < 0 ? dir : io_replace_file_at(dir, GOOD, text, 0644, true);
	if (r < 0)
		log_warning_errno(r, "remember in " STORE_STATE_DIR " that %s became ready",
				  system);
}

static int on_late(struct event_loop *loop, void *userdata)
{
	struct supervisor *s = userdata;
	char span[64];

	log_warning("machine %s has not become ready within %s, killing it", s->spec->machine,
		    time_format_span(s->spec->ready_timeout_us, span, sizeof(span)));
	stop_kill_all(s);
	return 0;
}

void generation_watch(struct supervisor *s)
{
	uint64_t now = time_monotonic_us();

	s->ready_timer.fn = on_late;
	s->ready_timer.userdata = s;
	if (s->spec->nix_rollback && s->spec->ready_timeout_us < USEC_INFINITY - now)
		event_arm_timer(s->loop, &s->ready_timer, now + s->spec->ready_timeout_us);
}

/* The newest generation of that system, or 0. */
static unsigned find_generation(const char *profile, const char *system)
{
	struct nix_generation *list = NULL;
	size_t count = 0;
	unsigned number = 0;

	if (nix_generations_list(profile, &list, &count) < 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (streq_null(list[i].store_path, system))
			number = list[i].number;
	nix_generations_free(list, count);
	return number;
}

static bool roll_back(struct supervisor *s, const char *profile, const char *failed)
{
	autofree char *good = read_good(profile);
	unsigned number = good ? find_generation(profile, good) : 0;
	unsigned from = s->state.nix_generation;

	if (!good || streq_null(good, failed) || number == 0) {
		log_warning("machine %s: there is no generation to roll back to: none but this one "
			    "has become ready so far, or it was deleted",
			    s->spec->machine);
		return false;
	}
	if (nix_profile_switch(profile, number, &number) < 0)
		return false;
	log_warning("machine %s: generation %u did not become ready, rolled back to generation %u, "
		    "which is booted now",
		    s->spec->machine, from, number);
	return true;
}

bool generation_roll_back(struct supervisor *s, const char *failed)
{
	autofree char *profile = NULL;

	event_disarm_timer(s->loop, &s->ready_timer);
	if (!s->spec->nix_rollback || s->is_ready || s->wants_no_reboot || s->is_stopping ||
	    s->has_rolled_back)
		return false;
	profile = store_profile_machine(s->spec->nix_system);
	s->has_rolled_back = profile && roll_back(s, profile, failed);
	return s->has_rolled_back;
}
