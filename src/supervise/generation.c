/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Remembers on disk which generation last became ready, and switches a profile back to it. Must
 * never touch a profile unless the settings ask for roll-backs. Supervisor's side.
 */
#include "supervise/generation.h"

#include <fcntl.h>
#include <limits.h>

#include "host/store.h"
#include "lib/fs.h"
#include "lib/io.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "nix/nix.h"

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

void generation_unwatch(struct generation *generation)
{
	event_disarm_timer(generation->loop, &generation->timer);
}

void generation_note_good(struct generation *generation, const char *system)
{
	autofree char *profile = system ? store_profile_machine(generation->profile_path) : NULL;
	autofree char *known = profile ? read_good(profile) : NULL;
	autofree char *text = profile ? str_printf("%s\n", system) : NULL;
	autoclose int dir = -1;
	int r;

	generation_unwatch(generation);
	generation->has_rolled_back = false;
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
	struct generation *generation = userdata;
	char span[64];

	log_warning("machine %s has not become ready within %s, killing it", generation->machine,
		    time_format_span(generation->ready_timeout_us, span, sizeof(span)));
	generation->on_late(generation->userdata);
	return 0;
}

void generation_watch(struct generation *generation)
{
	uint64_t now = time_monotonic_us();

	generation->timer.fn = on_late;
	generation->timer.userdata = generation;
	if (generation->is_enabled && generation->ready_timeout_us < USEC_INFINITY - now)
		event_arm_timer(generation->loop, &generation->timer,
				now + generation->ready_timeout_us);
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

bool generation_roll_back(struct generation *generation, const char *failed, unsigned from)
{
	autofree char *profile = NULL;
	autofree char *good = NULL;
	unsigned number;

	if (!generation->is_enabled || generation->has_rolled_back)
		return false;
	profile = store_profile_machine(generation->profile_path);
	good = profile ? read_good(profile) : NULL;
	number = good ? find_generation(profile, good) : 0;
	if (!profile)
		return false;
	if (!good || streq_null(good, failed) || number == 0) {
		log_warning("machine %s: there is no generation to roll back to: none but this one "
			    "has become ready so far, or it was deleted",
			    generation->machine);
		return false;
	}
	if (nix_profile_switch(profile, number, &number) < 0)
		return false;
	log_warning("machine %s: generation %u did not become ready, rolled back to generation %u, "
		    "which is booted now",
		    generation->machine, from, number);
	generation->has_rolled_back = true;
	return true;
}
