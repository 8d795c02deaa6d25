// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A job in one piece of memory. What the process inside is made of must never point to anything
 * that it is not meant to have. Parent side of clone().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/macro.h"
#include "machine/enter_child.h"

#define STACK_SIZE ((size_t)64 * 1024)
#define ALIGNMENT sizeof(max_align_t)

/* Without a base only the size is counted. */
struct packing {
	char *base;
	size_t used;
};

static void *pack(struct packing *p, const void *data, size_t size)
{
	size_t at = (p->used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

	p->used = at + size;
	if (!p->base)
		return NULL;
	if (size > 0)
		memcpy(p->base + at, data, size);
	return p->base + at;
}

static char *pack_string(struct packing *p, const char *s)
{
	return pack(p, s, strlen(s) + 1);
}

static char **pack_strings(struct packing *p, char **strings)
{
	size_t count = 0;
	char **copy;

	while (strings && strings[count])
		count++;
	if (!strings)
		strings = (char *[]){NULL};
	copy = pack(p, strings, (count + 1) * sizeof(*strings));
	for (size_t i = 0; i < count; i++) {
		char *s = pack_string(p, strings[i]);

		if (copy)
			copy[i] = s;
	}
	return copy;
}

static struct enter_job *pack_job(struct packing *p, const struct enter_job *job)
{
	struct enter_job packed = *job, *ret = pack(p, job, sizeof(*job));

	packed.seccomp.filter =
		pack(p, job->seccomp.filter, job->seccomp.len * sizeof(*job->seccomp.filter));
	packed.groups = pack(p, job->groups, job->n_groups * sizeof(*job->groups));
	packed.chdir = pack_string(p, job->chdir);
	packed.programs = pack_strings(p, job->programs);
	packed.argv = pack_strings(p, job->argv);
	packed.environment = pack_strings(p, job->environment);
	if (ret)
		*ret = packed;
	return ret;
}

static void *map_memory(size_t size, int flags)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int enter_job_pack(const struct enter_job *job, struct enter_job **ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size;
	struct packing p = {};
	struct enter_job *packed;
	int r;

	(void)pack_job(&p, job);
	size = (p.used + STACK_SIZE + page - 1) / page * page;
	p = (struct packing){.base = map_memory(size, MAP_PRIVATE)};
	if (!p.base)
		return -ENOMEM;
	packed = pack_job(&p, job);
	packed->place = (struct memory_range){(uintptr_t)p.base, (uintptr_t)p.base + size};
	packed->stack_top = p.base + size;
	packed->report = map_memory(page, MAP_SHARED);
	packed->inside = map_memory(page, MAP_SHARED);
	r = packed->report && packed->inside ? memory_read_map(&packed->private) : -ENOMEM;
	if (r < 0) {
		enter_job_free(packed);
		return r;
	}
	*ret = packed;
	return 0;
}

void enter_job_free(struct enter_job *job)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!job)
		return;
	if (job->report)
		(void)munmap(job->report, page);
	if (job->inside)
		(void)munmap(job->inside, page);
	(void)munmap((void *)job->place.start, job->place.end - job->place.start);
}
