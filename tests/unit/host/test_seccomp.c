// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Asks the kernel for the verdict on every system call number of every ABI (K04 of the threat
 * catalogue) without running any of them: a first filter answers ERRNO 4000 to all, and redd's is
 * added. The kernel prefers the newer of two ERRNO, and ERRNO to ALLOW: so a denied call gives
 * redd's errno, and an allowed one 4000. The expected verdicts come from the generator's policy
 * table, not from its instructions.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "host/seccomp.h"
#include "lib/caps.h"
#include "lib/str.h"

#define ERRNO_ALLOWED 4000
#define MAGIC 0x52454444 /* a sixth argument that the first filter lets pass */
#define ROWS_MAX 4096
#define X32_BIT 0x40000000U
#define NO_GATES 0, 0
#define ALL_GATES CAPS_ALL, SECCOMP_USER_NAMESPACE | SECCOMP_OWN_USERS | SECCOMP_VSOCK

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv)
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#else
#define NATIVE_ARCH 0
#endif

struct row {
	char abi[16];
	uint32_t number;
	char name[48];
	int errno_closed;
	int errno_open;
	char gate[16];
};

/* A call to make; the child fills in `got`. */
struct probe {
	const char *abi;
	uint32_t number;
	uint64_t args[3];
	int got;
};

static struct row rows[ROWS_MAX];
static size_t row_count;
static struct seccomp_program *short_program; /* with the gates closed, before any filter */

#ifdef __x86_64__
static long call_x86_64(uint32_t number, const uint64_t args[3])
{
	register long r10 __asm__("r10") = -1;
	register long r8 __asm__("r8") = -1;
	register long r9 __asm__("r9") = -1;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"((unsigned long)number), "D"(args[0]), "S"(args[1]), "d"(args[2]),
			   "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static long call_i386(uint32_t number, const uint64_t args[3])
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"((unsigned long)number), "b"(args[0]), "c"(args[1]), "d"(args[2]),
			   "S"(-1L), "D"(-1L)
			 : "r8", "r9", "r10", "r11", "memory");
	return (int)r;
}

/* A kernel without 32-bit emulation, or with ia32_emulation=off, kills the caller. */
static bool kernel_has_i386(void)
{
	static int answer = -1;
	const uint64_t none[3] = {};
	int status;
	pid_t pid;

	if (answer >= 0)
		return answer;
	pid = fork();
	if (pid == 0) {
		/* The default action: cmocka's handler would go on with the tests. */
		(void)signal(SIGSEGV, SIG_DFL);
		(void)call_i386(20 /* getpid */, none);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	answer = WIFEXITED(status);
	return answer;
}

static bool abi_is_callable(const char *abi)
{
	return streq(abi, "x86_64") || streq(abi, "x32") ||
	       (streq(abi, "i386") && kernel_has_i386());
}

static int probe_call(const struct probe *p)
{
	return (int)-(p->abi[0] == 'i' ? call_i386(p->number, p->args)
				       : call_x86_64(p->number, p->args));
}
#else
static bool abi_is_callable(const char *abi)
{
	return rows[0].abi[0] && streq(abi, rows[0].abi);
}

static int probe_call(const struct probe *p)
{
	return syscall(p->number, p->args[0], p->args[1], p->args[2], -1, -1, -1) < 0 ? errno : 0;
}
#endif

static void install_first_filter(void)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAGIC, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ERRNO_ALLOWED),
	};
	struct sock_fprog prog = {ARRAY_SIZE(insns), insns};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		_exit(90);
}

static void install(const struct seccomp_program *p)
{
	struct sock_fprog prog = {p->length, (struct sock_filter *)p->filter};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog, 0, 0, (long)MAGIC) < 0)
		syscall(SYS_exit_group, 91, 0, 0, 0, 0, (long)MAGIC);
}

static void wait_for_success(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Makes the calls in a child under the filter. `probes` is shared memory. */
static void run_probes(struct probe *probes, size_t n, const struct seccomp_program *program)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		install_first_filter();
		install(program);
		for (size_t i = 0; i < n; i++)
			probes[i].got = probe_call(&probes[i]);
		syscall(SYS_exit_group, 0, 0, 0, 0, 0, (long)MAGIC);
	}
	wait_for_success(pid);
}

static struct probe *probes_new(void)
{
	struct probe *p = mmap(NULL, ROWS_MAX * sizeof(*p), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void probes_free(struct probe *p)
{
	(void)munmap(p, ROWS_MAX * sizeof(*p));
}

/* If a filter is active already, the whole program is used, even if the kernel has no x32. */
static int install_empty_filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = {1, &allow};

	if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

static int set_up(void **state)
{
	const char *generator = getenv("SECCOMP_GEN");
	FILE *table;

	if (seccomp_select(NO_GATES, &short_program) < 0)
		return -1;
	if (!generator)
		return install_empty_filter();
	table = popen(generator, "r");
	assert_non_null(table);
	/* NOLINTBEGIN(cert-err34-c): the generator prints numbers that fit */
	while (row_count < ROWS_MAX &&
	       fscanf(table, "%15s %u %47s %d %d %15s", rows[row_count].abi,
		      &rows[row_count].number, rows[row_count].name, &rows[row_count].errno_closed,
		      &rows[row_count].errno_open, rows[row_count].gate) == 6)
		row_count++;
	/* NOLINTEND(cert-err34-c) */
	return pclose(table) == 0 && row_count > 600 ? install_empty_filter() : -1;
}

static int tear_down(void **state)
{
	free(short_program);
	return 0;
}

/* From 6.13 on these two calls bypass all filters, and kill a caller that wasn't sent there by a
 * probe. */
static bool row_is_callable(const struct row *row)
{
	return abi_is_callable(row->abi) && !streq(row->name, "uretprobe") &&
	       !streq(row->name, "uprobe");
}

static bool is_among(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = words; (p = strstr(p, word)); p += length)
		if ((p == words || p[-1] == ' ') && (p[length] == ' ' || p[length] == '\0'))
			return true;
	return false;
}

/* The verdict by the policy, in the form of run_probes(), with only `gates` open, or "all". */
static int expected(const struct row *row, const char *gates)
{
	bool open = streq(gates, "all") || is_among(gates, row->gate);
	int want = open ? row->errno_open : row->errno_closed;

	return want ? want : ERRNO_ALLOWED;
}

static void check_every_number(const struct seccomp_program *program, const char *gate, bool x32)
{
	struct probe *probes = probes_new();
	size_t wrong = 0;

	for (size_t i = 0; i < row_count; i++)
		probes[i] = (struct probe){row_is_callable(&rows[i]) ? rows[i].abi : rows[0].abi,
					   row_is_callable(&rows[i]) ? rows[i].number : SYS_getpid,
					   {-1ULL, -1ULL, -1ULL},
					   -1};
	run_probes(probes, row_count, program);
	for (size_t i = 0; i < row_count; i++) {
		bool absent = !x32 && streq(rows[i].abi, "x32");
		int want = absent ? ENOSYS : expected(&rows[i], gate);

		if (!row_is_callable(&rows[i]) || probes[i].got == want)
			continue;
		print_error("%s %u %s: errno %d, not %d\n", rows[i].abi, rows[i].number,
			    rows[i].name, probes[i].got, want);
		wrong++;
	}
	probes_free(probes);
	assert_int_equal(wrong, 0);
}

static void check_gates(uint64_t caps, unsigned holds, const char *gate)
{
	autofree struct seccomp_program *program = NULL;

	assert_int_equal(seccomp_select(caps, holds, &program), 0);
	check_every_number(program, gate, true);
}

static void need_table(void)
{
	if (row_count == 0 || NATIVE_ARCH == 0)
		skip();
}

/* security row: K04 */
static void test_every_number_with_gates_closed(void **state)
{
	need_table();
	check_gates(NO_GATES, "none");
}

static void test_every_number_with_gates_open(void **state)
{
	need_table();
	check_gates(ALL_GATES, "all");
}

static void test_every_number_where_the_kernel_has_no_x32(void **state)
{
	autofree struct seccomp_program *whole = NULL;

	need_table();
	assert_int_equal(seccomp_select(NO_GATES, &whole), 0);
	if (short_program->length == whole->length)
		skip();
	check_every_number(short_program, "none", false);
}

static void test_each_gate_opens_itself_only(void **state)
{
	static const struct {
		const char *gate;
		uint64_t caps;
		unsigned holds;
	} gates[] = {
		{"clock", CAPS_BIT(CAP_SYS_TIME), 0},
		{"module", CAPS_BIT(CAP_SYS_MODULE), 0},
		{"raw-io", CAPS_BIT(CAP_SYS_RAWIO), 0},
		{"bpf", CAPS_BIT(CAP_BPF), 0},
		{"perf", CAPS_BIT(CAP_PERFMON), 0},
		{"syslog", CAPS_BIT(CAP_SYSLOG), 0},
		{"account", CAPS_BIT(CAP_SYS_PACCT), 0},
		{"mount", 0, SECCOMP_USER_NAMESPACE},
		{"keyring mount", 0, SECCOMP_USER_NAMESPACE | SECCOMP_OWN_USERS},
		{"vsock", 0, SECCOMP_VSOCK},
		{"mount", CAPS_BIT(CAP_SYS_ADMIN), 0},
		{"nothing", CAPS_BIT(CAP_DAC_READ_SEARCH), 0},
	};

	need_table();
	for (size_t i = 0; i < ARRAY_SIZE(gates); i++)
		check_gates(gates[i].caps, gates[i].holds, gates[i].gate);
}

/* Verdicts that must hold however the policy's tables change. */
static void test_table_says(void **state)
{
	static const struct {
		const char *name;
		int errno_closed;
		int errno_open;
	} facts[] = {
		{"open_by_handle_at", EPERM, EPERM},
		{"kexec_load", EPERM, EPERM},
		{"swapon", EPERM, EPERM},
		{"fanotify_init", EPERM, EPERM},
		{"userfaultfd", EPERM, EPERM},
		{"quotactl", EPERM, EPERM},
		{"io_uring_setup", ENOSYS, ENOSYS},
		{"bpf", EPERM, 0},
		{"keyctl", ENOSYS, 0},
		{"finit_module", EPERM, 0},
		{"clone3", 0, 0},
		{"unshare", 0, 0},
		{"mount_setattr", EPERM, 0},
		{"openat2", 0, 0},
	};

	need_table();
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		size_t found = 0;

		for (size_t j = 0; j < row_count; j++)
			if (streq(rows[j].name, facts[i].name)) {
				assert_int_equal(rows[j].errno_closed, facts[i].errno_closed);
				assert_int_equal(rows[j].errno_open, facts[i].errno_open);
				found++;
			}
		assert_true(found > 0);
	}
}

static bool has_call(const char *abi, const char *name)
{
	for (size_t i = 0; i < row_count; i++)
		if (streq(rows[i].abi, abi) && streq(rows[i].name, name))
			return true;
	return false;
}

static uint32_t number_of(const char *abi, const char *name)
{
	for (size_t i = 0; i < row_count; i++)
		if (streq(rows[i].abi, abi) && streq(rows[i].name, name))
			return rows[i].number;
	fail_msg("%s has no %s", abi, name);
	return 0;
}

struct argument_case {
	const char *name;
	uint64_t args[3];
	int want;
};

/* On every ABI that has the call. */
static void check_arguments(const struct argument_case *cases, size_t n, uint64_t caps,
			    unsigned holds)
{
	static const char *const abis[] = {"x86_64", "x32", "i386", "aarch64", "riscv64"};
	autofree struct seccomp_program *program = NULL;
	struct probe *probes = probes_new();
	size_t count = 0;

	for (size_t a = 0; a < ARRAY_SIZE(abis); a++)
		for (size_t i = 0;
		     i < n && abi_is_callable(abis[a]) && has_call(abis[a], cases[i].name); i++) {
			struct probe *p = &probes[count++];

			*p = (struct probe){abis[a], number_of(abis[a], cases[i].name), {}, -1};
			memcpy(p->args, cases[i].args, sizeof(p->args));
		}
	assert_true(count > 0);
	assert_int_equal(seccomp_select(caps, holds, &program), 0);
	run_probes(probes, count, program);
	for (size_t i = 0; i < count; i++)
		if (probes[i].got != cases[i % n].want)
			fail_msg("%s %s(%#lx, %#lx, %#lx): errno %d, not %d", probes[i].abi,
				 cases[i % n].name, (unsigned long)probes[i].args[0],
				 (unsigned long)probes[i].args[1], (unsigned long)probes[i].args[2],
				 probes[i].got, cases[i % n].want);
	probes_free(probes);
}

/* security row: T01 */
static void test_terminal_injection_is_denied(void **state)
{
	static const struct argument_case cases[] = {
		{"ioctl", {0, TIOCSTI, 0}, EPERM},
		{"ioctl", {0, TIOCSTI | 1ULL << 32, 0}, EPERM},
		{"ioctl", {0, TIOCSTI | 0xdeadbeefULL << 32, 0}, EPERM},
		{"ioctl", {0, TIOCLINUX, 0}, EPERM},
		{"ioctl", {0, TIOCLINUX | 1ULL << 32, 0}, EPERM},
		{"ioctl", {TIOCSTI, TCGETS, TIOCSTI}, ERRNO_ALLOWED},
		{"ioctl", {0, TIOCGWINSZ, 0}, ERRNO_ALLOWED},
	};

	need_table();
	check_arguments(cases, ARRAY_SIZE(cases), ALL_GATES);
}

static void test_audit_socket_is_unknown(void **state)
{
	static const struct argument_case cases[] = {
		{"socket", {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT}, EAFNOSUPPORT},
		{"socket", {AF_NETLINK | 1ULL << 32, SOCK_RAW, NETLINK_AUDIT}, EAFNOSUPPORT},
		{"socket", {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT | 1ULL << 32}, EAFNOSUPPORT},
		{"socket", {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}, ERRNO_ALLOWED},
		{"socket", {AF_UNIX, SOCK_STREAM, NETLINK_AUDIT}, ERRNO_ALLOWED},
		{"socket", {AF_INET, SOCK_RAW, NETLINK_AUDIT}, ERRNO_ALLOWED},
	};

	need_table();
	check_arguments(cases, ARRAY_SIZE(cases), ALL_GATES);
}

/* security row: K21 */
static void test_vsock_is_unknown(void **state)
{
	static const struct argument_case closed[] = {
		{"socket", {AF_VSOCK, SOCK_STREAM, 0}, EAFNOSUPPORT},
		{"socket", {AF_VSOCK | 1ULL << 32, SOCK_DGRAM, 0}, EAFNOSUPPORT},
		{"socket", {AF_UNIX, AF_VSOCK, AF_VSOCK}, ERRNO_ALLOWED},
		{"socket", {AF_INET, SOCK_STREAM, 0}, ERRNO_ALLOWED},
	};
	static const struct argument_case open[] = {
		{"socket", {AF_VSOCK, SOCK_STREAM, 0}, ERRNO_ALLOWED},
	};

	need_table();
	check_arguments(closed, ARRAY_SIZE(closed), NO_GATES);
	check_arguments(closed, ARRAY_SIZE(closed), CAPS_ALL, SECCOMP_USER_NAMESPACE);
	check_arguments(open, ARRAY_SIZE(open), 0, SECCOMP_VSOCK);
}

/* The kernel's verdict by its documentation, for ABIs that this kernel may not run. */
static uint32_t interpret(const struct seccomp_program *program, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t i = 0; i < program->length; i++) {
		const struct sock_filter *f = &program->filter[i];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)data + f->k, sizeof(a));
			break;
		case BPF_JMP | BPF_JA:
			i += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			i += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			i += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			fail_msg("an instruction that the generator makes no use of");
		}
	}
	fail_msg("the filter ends without a verdict");
	return 0;
}

static uint32_t i386_verdict(unsigned holds, const char *name, uint64_t first)
{
	const struct seccomp_data data = {.arch = AUDIT_ARCH_I386,
					  .nr = (int)number_of("i386", name),
					  .args = {first, AF_VSOCK, AF_VSOCK}};
	autofree struct seccomp_program *program = NULL;

	assert_int_equal(seccomp_select(CAPS_ALL, holds, &program), 0);
	return interpret(program, &data);
}

/* security row: K21 */
static void test_socketcall_makes_no_sockets(void **state)
{
	const uint32_t refused = SECCOMP_RET_ERRNO | EAFNOSUPPORT, allowed = SECCOMP_RET_ALLOW;

	need_table();
	if (!has_call("i386", "socketcall") || seccomp_leaves_socketcall())
		skip();
	assert_int_equal(i386_verdict(SECCOMP_USER_NAMESPACE, "socketcall", 1), refused);
	assert_int_equal(i386_verdict(0, "socketcall", 1 | 1ULL << 32), refused);
	assert_int_equal(i386_verdict(0, "socket", AF_VSOCK), refused);
	/* bind, socketpair */
	assert_int_equal(i386_verdict(0, "socketcall", 2), allowed);
	assert_int_equal(i386_verdict(0, "socketcall", 8), allowed);
	assert_int_equal(i386_verdict(0, "socket", AF_INET), allowed);
	assert_int_equal(i386_verdict(SECCOMP_VSOCK, "socketcall", 1), allowed);
	assert_int_equal(i386_verdict(SECCOMP_VSOCK, "socket", AF_VSOCK), allowed);
}

/* Without the first filter, denied calls have no effect, and allowed ones work. Returns the child's
 * exit code. */
static int use_system(const struct seccomp_program *program)
{
	struct sock_fprog prog = {program->length, (struct sock_filter *)program->filter};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return 1;
	if (swapon("/nonexistent", 0) == 0 || errno != EPERM)
		return 2;
	if (syscall(SYS_open_by_handle_at, -1, NULL, 0) == 0 || errno != EPERM)
		return 3;
	if (syscall(SYS_io_uring_setup, 1, NULL) == 0 || errno != ENOSYS)
		return 4;
	if (unshare(CLONE_NEWNS | CLONE_NEWPID) < 0)
		return 5;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 6;
	if (mount("tmpfs", "/mnt", "tmpfs", 0, NULL) < 0)
		return 7;
	if (socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT) >= 0 || errno != EAFNOSUPPORT)
		return 8;
	if (socket(AF_VSOCK, SOCK_STREAM, 0) >= 0 || errno != EAFNOSUPPORT)
		return 10;
	return system("ls / >/dev/null && test $(echo a | tr a b) = b") == 0 ? 0 : 9;
}

static void test_a_system_runs_below_it(void **state)
{
	autofree struct seccomp_program *program = NULL;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_int_equal(seccomp_select(CAPS_BIT(CAP_SYS_ADMIN), 0, &program), 0);
	pid = fork();
	if (pid == 0)
		_exit(use_system(program));
	wait_for_success(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_number_with_gates_closed),
		cmocka_unit_test(test_every_number_with_gates_open),
		cmocka_unit_test(test_every_number_where_the_kernel_has_no_x32),
		cmocka_unit_test(test_each_gate_opens_itself_only),
		cmocka_unit_test(test_table_says),
		cmocka_unit_test(test_terminal_injection_is_denied),
		cmocka_unit_test(test_audit_socket_is_unknown),
		cmocka_unit_test(test_vsock_is_unknown),
		cmocka_unit_test(test_socketcall_makes_no_sockets),
		cmocka_unit_test(test_a_system_runs_below_it),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
