#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "lib/base/log.h"
#include "lib/sandbox/sandbox.h"

/*
 * The filter is a list of allowed system calls; all others fail with ENOSYS, as
 * on a kernel without them.  They do not kill the process, for two reasons.  A
 * C library tries new system calls first, and falls back on old ones at ENOSYS
 * and at nothing else, so a library that is newer than the list still works.
 * And a call that is missing in the list fails where it is made, where the code
 * handles errors anyway: the request gets 503, or its counts go to the spool.
 *
 * Above all, the list does not allow: executing a program, creating a process,
 * reading another one's memory or signalling it, gaining privileges, creating
 * sockets of other kinds than those below, listening, and new executable
 * memory. The last matters because any file that can be mapped could have been
 * written before: in the spool's directory, say, or as a memfd.  So the modules
 * of NSS, which glibc loads to resolve a name, are loaded in advance.  Opening
 * files is allowed, as the user's permissions are: which files a resolver, a
 * module of NSS, or TLS needs is not known in advance.
 *
 * Names of system calls are resolved at run time, and names that the machine
 * does not have are skipped, so the list works for glibc and musl on all
 * machines.
 */

/* A sanitizer inspects its own process from a child. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

void
sandbox_memory(void)
{

#ifndef SANITIZED
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* Without close_range(2): close all descriptors in /proc. */
static void
close_shown(unsigned int first)
{
	DIR * directory = opendir("/proc/self/fd");
	struct dirent * entry;
	unsigned long number;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL) {
		number = strtoul(entry->d_name, NULL, 10);
		if (number >= first && number <= INT_MAX &&
		    (int)number != dirfd(directory))
			close((int)number);
	}
	closedir(directory);
}

void
sandbox_descriptors(unsigned int keep)
{
	unsigned int first = STDERR_FILENO + 1 + keep;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, ~0U, 0U) == 0)
		return;
#endif
	close_shown(first);
}

#if defined(HAVE_SECCOMP) && !defined(SANITIZED)

static const char * const allowed[] = {
	/* Descriptors and files. */
	"read", "readv", "pread64", "preadv", "write", "writev", "pwrite64",
	"pwritev", "open", "openat", "close", "stat", "stat64", "lstat",
	"lstat64", "fstat", "fstat64", "newfstatat", "fstatat64", "statx",
	"statfs", "statfs64", "fstatfs", "fstatfs64", "access", "faccessat",
	"faccessat2", "readlink", "readlinkat", "lseek", "_llseek", "fcntl",
	"fcntl64", "flock", "ftruncate", "ftruncate64", "fallocate", "fsync",
	"fdatasync", "fadvise64", "fadvise64_64", "rename", "renameat",
	"renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir",
	"mkdirat", "rmdir", "fchmod", "fchown", "fchown32", "umask", "getcwd",
	"getdents", "getdents64", "dup", "dup2", "dup3", "pipe2",
	"memfd_create",
	/* Memory; see below for calls that make it executable. */
	"brk", "munmap", "mremap", "madvise", "msync", "mlock", "mlock2",
	"munlock", "mincore",
	/* Sockets, and waiting; see below for socket itself. */
	"socketcall", "connect", "bind", "accept", "accept4", "recv",
	"recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64", "send",
	"sendto", "sendmsg", "sendmmsg", "shutdown", "getsockname",
	"getpeername", "getsockopt", "setsockopt", "poll", "ppoll",
	"ppoll_time64", "select", "_newselect", "pselect6",
	"pselect6_time64", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "eventfd2",
	/* Threads and signals; see below for clone. */
	"futex", "futex_time64", "futex_waitv", "set_robust_list",
	"get_robust_list", "rseq", "membarrier", "set_tid_address",
	"sched_yield", "sched_getaffinity", "sched_getparam",
	"sched_getscheduler", "gettid", "exit", "exit_group",
	"restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigpending",
	"sigreturn", "sigaltstack",
	/* Information. */
	"getpid", "getppid", "getuid", "getuid32", "geteuid", "geteuid32",
	"getgid", "getgid32", "getegid", "getegid32", "getrandom",
	"getrusage", "getrlimit", "ugetrlimit", "getcpu", "uname", "sysinfo",
	"time", "times", "gettimeofday", "clock_gettime", "clock_gettime64",
	"clock_getres", "clock_getres_time64", "clock_nanosleep",
	"clock_nanosleep_time64", "nanosleep",
};

/* Allowed if an argument, under a mask, has a certain value. */
struct condition {
	const char * name;
	unsigned int argument;
	uint64_t mask, value;
};

static const struct condition conditions[] = {
	/* For getaddrinfo(3), and for Redis. */
	{ "socket", 0, UINT32_MAX, AF_UNIX },
	{ "socket", 0, UINT32_MAX, AF_INET },
	{ "socket", 0, UINT32_MAX, AF_INET6 },
	{ "socket", 0, UINT32_MAX, AF_NETLINK },
	/* Threads, but no processes.  A filter cannot see the flags of
	 * clone3(2); without it C libraries use this. */
	{ "clone", 0, CLONE_THREAD, CLONE_THREAD },
	/* No new executable memory. */
	{ "mmap", 2, PROT_EXEC, 0 },
	{ "mmap2", 2, PROT_EXEC, 0 },
	{ "mprotect", 2, PROT_EXEC, 0 },
	/* Limits can be read, not set. */
	{ "prlimit64", 2, UINT64_MAX, 0 },
	{ "prctl", 0, UINT32_MAX, PR_SET_NAME },
	/* isatty(3), libfcgi, and addresses with a scope. */
	{ "ioctl", 1, UINT32_MAX, TCGETS },
	{ "ioctl", 1, UINT32_MAX, FIONREAD },
	{ "ioctl", 1, UINT32_MAX, FIONBIO },
	{ "ioctl", 1, UINT32_MAX, SIOCGIFINDEX },
	{ "ioctl", 1, UINT32_MAX, SIOCGIFNAME },
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Allow a system call, if this machine has it. */
static int
allow(scmp_filter_ctx filter, const char * name)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number == __NR_SCMP_ERROR)
		return (0);
	return (seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0));
}

static int
allow_if(scmp_filter_ctx filter, const struct condition * condition)
{
	struct scmp_arg_cmp comparison = {
		.arg = condition->argument,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = condition->mask,
		.datum_b = condition->value,
	};
	int number = seccomp_syscall_resolve_name(condition->name);

	if (number == __NR_SCMP_ERROR)
		return (0);
	return (seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, 1,
	    &comparison));
}

/* Allow signals to this process itself, as abort(3) sends. */
static int
allow_signals(scmp_filter_ctx filter)
{
	uint64_t self = (uint64_t)getpid();
	int error = allow_if(filter,
	    &(struct condition){ "tgkill", 0, UINT32_MAX, self });

	return (error != 0 ? error : allow_if(filter,
	    &(struct condition){ "kill", 0, UINT32_MAX, self }));
}

/*
 * Load the modules of NSS that resolve host names: those that nsswitch.conf(5)
 * lists.  They stay loaded, and glibc finds them by their names.
 */
static void
load_modules(void)
{
#if defined(__GLIBC__) && !defined(STATIC_BINARY)
	FILE * file = fopen("/etc/nsswitch.conf", "re");
	char line[1024], name[64];
	char * word;
	char * rest;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		word = strtok_r(line, " \t\n", &rest);
		if (word == NULL || strcmp(word, "hosts:") != 0)
			continue;
		while ((word = strtok_r(NULL, " \t\n", &rest)) != NULL) {
			snprintf(name, sizeof(name), "libnss_%s.so.2", word);
			/* Not every word is a module; ignore errors. */
			if (strchr(word, '/') == NULL)
				(void)dlopen(name, RTLD_LAZY);
		}
	}
	if (file != NULL)
		fclose(file);
#endif
}

/* Add all rules; return 0 or an errno. */
static int
fill_filter(scmp_filter_ctx filter)
{
	int error = allow_signals(filter);
	size_t i;

	for (i = 0; error == 0 && i < COUNT_OF(allowed); i++)
		error = allow(filter, allowed[i]);
	for (i = 0; error == 0 && i < COUNT_OF(conditions); i++)
		error = allow_if(filter, &conditions[i]);
	return (-error);
}

enum sandbox_state
sandbox_enter(bool names)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int error = ENOMEM;

	if (names)
		load_modules();
	if (filter != NULL)
		error = fill_filter(filter);
	/* This also sets no_new_privs; without it, it would need privileges. */
	if (error == 0)
		error = -seccomp_load(filter);
	if (filter != NULL)
		seccomp_release(filter);
	if (error == 0)
		return (SANDBOX_ON);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	log_info("running without a filter of system calls: %s",
	    strerror(error));
	return (SANDBOX_UNAVAILABLE);
}

#else

enum sandbox_state
sandbox_enter(bool names)
{

	(void)names;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	log_info("running without a filter of system calls: built without "
	    "libseccomp");
	return (SANDBOX_UNAVAILABLE);
}

#endif
