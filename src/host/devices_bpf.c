// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The device filter, as hand-made BPF instructions: no compiler and no libbpf. Runs in the parent;
 * must never allow what no rule names. Kernel documents: admin-guide/cgroup-v2 "Device controller",
 * admin-guide/cgroup-v1/devices.
 */
#include "host/devices_bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"
#include "lib/macro.h"

#define MAJOR_MAX 0xfffU /* of the kernel's dev_t */
#define MINOR_MAX 0xfffffU
#define NUMBER_TEXT_MAX sizeof("4294967295")
#define RULE_INSNS 8
#define LOAD_TRIES 16
#define FIXED_INSNS 11 /* before the first rule and behind the last */

const struct device_rule devices_default[] = {
	{'c', 1, 3, DEVICE_RWM},	    /* null */
	{'c', 1, 5, DEVICE_RWM},	    /* zero */
	{'c', 1, 7, DEVICE_RWM},	    /* full */
	{'c', 1, 8, DEVICE_RWM},	    /* random */
	{'c', 1, 9, DEVICE_RWM},	    /* urandom */
	{'c', 5, 0, DEVICE_RWM},	    /* tty */
	{'c', 5, 2, DEVICE_RWM},	    /* ptmx */
	{'c', 136, DEVICE_ANY, DEVICE_RWM}, /* pts */
	{'c', 10, 200, DEVICE_RWM}, /* net/tun: makes an interface in the opener's network */
	{'c', 10, 229, DEVICE_RWM}, /* fuse */
};
const size_t devices_default_count = ARRAY_SIZE(devices_default);

struct code {
	struct bpf_insn *insns;
	size_t length;
};

static void emit(struct code *c, struct bpf_insn insn)
{
	c->insns[c->length++] = insn;
}

static void emit_load(struct code *c, unsigned reg, size_t offset)
{
	emit(c, (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_W,
				  .dst_reg = reg & 0xf,
				  .src_reg = BPF_REG_1,
				  .off = (short)offset});
}

static void emit_number(struct code *c, unsigned reg, uint64_t value)
{
	/* NOLINTNEXTLINE(misc-redundant-expression): both are 0 */
	emit(c, (struct bpf_insn){.code = BPF_LD | BPF_DW | BPF_IMM,
				  .dst_reg = reg & 0xf,
				  .imm = (int)value});
	emit(c, (struct bpf_insn){.imm = (int)(value >> 32)});
}

static void emit_alu(struct code *c, unsigned op, unsigned reg, int value)
{
	emit(c, (struct bpf_insn){.code = (uint8_t)(BPF_ALU64 | op | BPF_K),
				  .dst_reg = reg & 0xf,
				  .imm = value});
}

static void emit_alu_reg(struct code *c, unsigned op, unsigned reg, unsigned source)
{
	emit(c, (struct bpf_insn){.code = (uint8_t)(BPF_ALU64 | op | BPF_X),
				  .dst_reg = reg & 0xf,
				  .src_reg = source & 0xf});
}

/*
 * One number for an attempt: minor in bits 0..19, major 20..31 (all that the kernel's dev_t has),
 * type 32..47, access 48..62. A rule matches when (attempt ^ value) & mask is 0. There are no
 * branches, because the kernel's verifier takes 4 µs for each and a start has to wait for it: -x
 * has its top bit set unless x is 0, so the top bit of the AND of all of them says that no rule
 * matched.
 */
#define KEY_MAJOR 20
#define KEY_TYPE 32
#define KEY_ACCESS 48

/* An "any" leaves all bits of its own field set, and none of its neighbour's. */
static uint64_t rule_value(const struct device_rule *rule)
{
	uint64_t type = rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
	uint64_t major = rule->major & MAJOR_MAX;

	return type << KEY_TYPE | major << KEY_MAJOR | (rule->minor & MINOR_MAX);
}

static uint64_t rule_mask(const struct device_rule *rule)
{
	uint64_t mask = UINT64_C(0xffff) << KEY_TYPE;

	mask |= (uint64_t)(0x7fff & ~rule->access) << KEY_ACCESS;
	if (rule->major != DEVICE_ANY)
		mask |= (uint64_t)MAJOR_MAX << KEY_MAJOR;
	if (rule->minor != DEVICE_ANY)
		mask |= MINOR_MAX;
	return mask;
}

static void emit_rule(struct code *c, const struct device_rule *rule)
{
	uint64_t mask = rule_mask(rule);

	emit_number(c, BPF_REG_3, rule_value(rule) & mask);
	emit_alu_reg(c, BPF_XOR, BPF_REG_3, BPF_REG_2);
	emit_number(c, BPF_REG_4, mask);
	emit_alu_reg(c, BPF_AND, BPF_REG_3, BPF_REG_4);
	emit_alu(c, BPF_NEG, BPF_REG_3, 0);
	emit_alu_reg(c, BPF_AND, BPF_REG_0, BPF_REG_3);
}

/* bpf_cgroup_dev_ctx.access_type has the access in its upper, the type in its lower half. */
static void emit_program(struct code *c, const struct device_rule *rules, size_t n)
{
	emit_load(c, BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit_load(c, BPF_REG_3, offsetof(struct bpf_cgroup_dev_ctx, major));
	emit_load(c, BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, minor));
	emit_alu(c, BPF_LSH, BPF_REG_2, KEY_TYPE);
	emit_alu(c, BPF_LSH, BPF_REG_3, KEY_MAJOR);
	emit_alu_reg(c, BPF_OR, BPF_REG_2, BPF_REG_3);
	emit_alu_reg(c, BPF_OR, BPF_REG_2, BPF_REG_4);
	emit_alu(c, BPF_MOV, BPF_REG_0, -1);
	for (size_t i = 0; i < n; i++)
		emit_rule(c, &rules[i]);
	emit_alu(c, BPF_XOR, BPF_REG_0, -1);
	emit_alu(c, BPF_RSH, BPF_REG_0, 63);
	emit(c, (struct bpf_insn){.code = BPF_JMP | BPF_EXIT});
}

static int sys_bpf(int command, union bpf_attr *attr)
{
	int r = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

/* The verifier gives up as soon as a signal is pending, though it be one that does nothing. */
static int load(union bpf_attr *attr)
{
	int fd = -EAGAIN;

	for (int i = 0; fd == -EAGAIN && i < LOAD_TRIES; i++)
		fd = sys_bpf(BPF_PROG_LOAD, attr);
	return fd;
}

/*
 * Before 5.11 a program is charged to RLIMIT_MEMLOCK, and too little of it reads EPERM. The limit
 * is put back, because the payload inherits it.
 */
static int load_with_memlock(union bpf_attr *attr)
{
	struct rlimit old, more;
	int fd;

	if (getrlimit(RLIMIT_MEMLOCK, &old) < 0)
		return -EPERM;
	more = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &more) < 0) {
		more = (struct rlimit){old.rlim_max, old.rlim_max};
		if (setrlimit(RLIMIT_MEMLOCK, &more) < 0)
			return -EPERM;
	}
	fd = load(attr);
	(void)setrlimit(RLIMIT_MEMLOCK, &old);
	return fd;
}

static bool rule_is_valid(const struct device_rule *rule)
{
	if (rule->type != 'c' && rule->type != 'b')
		return false;
	if (rule->major > MAJOR_MAX && rule->major != DEVICE_ANY)
		return false;
	if (rule->minor > MINOR_MAX && rule->minor != DEVICE_ANY)
		return false;
	return rule->access != 0 && (rule->access & ~(unsigned)DEVICE_RWM) == 0;
}

int devices_bpf_load(const struct device_rule *rules, size_t n)
{
	autofree struct bpf_insn *insns = NULL;
	struct code code = {};
	union bpf_attr attr = {};
	int fd;

	if (n > DEVICE_RULES_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		if (!rule_is_valid(&rules[i]))
			return -EINVAL;
	insns = calloc(FIXED_INSNS + n * RULE_INSNS, sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	code.insns = insns;
	emit_program(&code, rules, n);

	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.expected_attach_type = BPF_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.insn_cnt = (uint32_t)code.length;
	attr.license = (uint64_t)(uintptr_t) "LGPL-2.1-or-later";
	(void)snprintf(attr.prog_name, sizeof(attr.prog_name), "redd_devices");
	fd = load(&attr);
	return fd == -EPERM ? load_with_memlock(&attr) : fd;
}

int devices_bpf_probe(int cgroup_fd)
{
	union bpf_attr attr = {
		.query.target_fd = (uint32_t)cgroup_fd,
		.query.attach_type = BPF_CGROUP_DEVICE,
	};

	return sys_bpf(BPF_PROG_QUERY, &attr);
}

int devices_bpf_attach(int cgroup_fd, int prog_fd)
{
	union bpf_attr attr = {
		.target_fd = (uint32_t)cgroup_fd,
		.attach_bpf_fd = (uint32_t)prog_fd,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI,
	};

	return sys_bpf(BPF_PROG_ATTACH, &attr);
}

static void format_number(uint32_t number, char ret[NUMBER_TEXT_MAX])
{
	if (number == DEVICE_ANY)
		(void)snprintf(ret, NUMBER_TEXT_MAX, "*");
	else
		(void)snprintf(ret, NUMBER_TEXT_MAX, "%u", number);
}

int device_rule_format(const struct device_rule *rule, char ret[DEVICE_RULE_TEXT_MAX])
{
	char major[NUMBER_TEXT_MAX], minor[NUMBER_TEXT_MAX];

	if (!rule_is_valid(rule))
		return -EINVAL;
	format_number(rule->major, major);
	format_number(rule->minor, minor);
	(void)snprintf(ret, DEVICE_RULE_TEXT_MAX, "%c %s:%s %s%s%s", rule->type, major, minor,
		       rule->access & DEVICE_READ ? "r" : "",
		       rule->access & DEVICE_WRITE ? "w" : "",
		       rule->access & DEVICE_MKNOD ? "m" : "");
	return 0;
}

int devices_v1_rules(int cgroup_fd, const struct device_rule *rules, size_t n)
{
	char text[DEVICE_RULE_TEXT_MAX];
	int r;

	r = io_write_file_at(cgroup_fd, "devices.deny", "a");
	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = device_rule_format(&rules[i], text);
		if (r >= 0)
			r = io_write_file_at(cgroup_fd, "devices.allow", text);
	}
	return r;
}
