// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Capabilities: names, defaults, and what can be granted. Runs in the parent; never changes the
 * sets of this process.
 */
#include "lib/caps.h"

#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/str.h"

#define CAPS_SEPARATORS ", \t\r\n"
#define CAPS_NUMBERS 64

#define CAPS_NARROW                                                                                \
	(CAPS_BIT(CAP_AUDIT_WRITE) | CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) |            \
	 CAPS_BIT(CAP_FOWNER) | CAPS_BIT(CAP_FSETID) | CAPS_BIT(CAP_KILL) | CAPS_BIT(CAP_MKNOD) |  \
	 CAPS_BIT(CAP_NET_BIND_SERVICE) | CAPS_BIT(CAP_NET_RAW) | CAPS_BIT(CAP_SETFCAP) |          \
	 CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_SETPCAP) | CAPS_BIT(CAP_SETUID) |                     \
	 CAPS_BIT(CAP_SYS_CHROOT))

#define CAPS_NSPAWN_DEFAULT                                                                        \
	(CAPS_NARROW | CAPS_BIT(CAP_AUDIT_CONTROL) | CAPS_BIT(CAP_DAC_READ_SEARCH) |               \
	 CAPS_BIT(CAP_IPC_OWNER) | CAPS_BIT(CAP_LEASE) | CAPS_BIT(CAP_LINUX_IMMUTABLE) |           \
	 CAPS_BIT(CAP_NET_BROADCAST) | CAPS_BIT(CAP_SYS_ADMIN) | CAPS_BIT(CAP_SYS_BOOT) |          \
	 CAPS_BIT(CAP_SYS_NICE) | CAPS_BIT(CAP_SYS_PTRACE) | CAPS_BIT(CAP_SYS_RESOURCE) |          \
	 CAPS_BIT(CAP_SYS_TTY_CONFIG))

static const char *const names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};

#define CAPS_NAMED (CAPS_BIT(ARRAY_SIZE(names)) - 1)

const char *caps_name(unsigned number)
{
	return number < ARRAY_SIZE(names) ? names[number] : NULL;
}

static bool word_equal(const char *word, size_t size, const char *text)
{
	return strlen(text) == size && strncasecmp(word, text, size) == 0;
}

static int parse_number(const char *word, size_t size, uint64_t *ret)
{
	unsigned number = 0;

	if (size == 0 || size > 2)
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		if (!isdigit((unsigned char)word[i]))
			return -EINVAL;
		number = number * 10 + (unsigned)(word[i] - '0');
	}
	if (number >= CAPS_NUMBERS)
		return -EINVAL;
	*ret = CAPS_BIT(number);
	return 0;
}

static int parse_word(const char *word, size_t size, uint64_t *ret)
{
	const size_t prefix = strlen("CAP_");

	if (word_equal(word, size, "all")) {
		*ret = CAPS_ALL;
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (word_equal(word, size, names[i]) || word_equal(word, size, names[i] + prefix)) {
			*ret = CAPS_BIT(i);
			return 0;
		}
	return parse_number(word, size, ret);
}

int caps_parse_list(const char *list, uint64_t *ret, const char **ret_bad)
{
	uint64_t mask = 0, one;

	for (;;) {
		size_t size;

		list += strspn(list, CAPS_SEPARATORS);
		size = strcspn(list, CAPS_SEPARATORS);
		if (size == 0)
			break;
		if (parse_word(list, size, &one) < 0) {
			if (ret_bad)
				*ret_bad = list;
			return -EINVAL;
		}
		mask |= one;
		list += size;
	}
	*ret = mask;
	return 0;
}

uint64_t caps_default(bool user_namespace, bool private_network)
{
	uint64_t mask = user_namespace ? CAPS_NSPAWN_DEFAULT : CAPS_NARROW;

	if (private_network)
		mask |= CAPS_BIT(CAP_NET_ADMIN);
	else if (user_namespace)
		mask &= ~CAPS_BIT(CAP_NET_BIND_SERVICE);
	return mask;
}

/* Asked by prctl() rather than read from /proc, which may be masked or another's. */
uint64_t caps_current_bounding(void)
{
	uint64_t mask = 0;
	int has;

	for (unsigned number = 0; number < CAPS_NUMBERS; number++) {
		has = prctl(PR_CAPBSET_READ, number, 0, 0, 0);
		if (has < 0)
			break;
		if (has)
			mask |= CAPS_BIT(number);
	}
	return mask;
}

unsigned caps_last(void)
{
	unsigned number = 1;

	while (number < CAPS_NUMBERS && prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0)
		number++;
	return number - 1;
}

static uint64_t current_permitted(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

uint64_t caps_grantable(bool user_namespace)
{
	/* The kernel starts the first process of a user namespace with full sets, whatever ours
	 * are. */
	if (user_namespace)
		return CAPS_ALL >> (CAPS_NUMBERS - 1 - caps_last());
	return caps_current_bounding() & current_permitted();
}
