#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/sandbox/sandbox.h"
#include "tests/unit/tap.h"
#include "tests/unit/temporary.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#define CONFINED !SANITIZED
#else
#define CONFINED false
#endif

static char path[PATH_MAX];

/* What must fail: each returns whether it did, as in an old kernel. */

static bool
refused(long result)
{

	return (result == -1 && (errno == ENOSYS || errno == EPERM));
}

static bool
no_program(void)
{
	char * arguments[] = { (char []){ "true" }, NULL };

	return (refused(execv("/bin/true", arguments)));
}

static bool
no_program_at(void)
{
	char * none[] = { NULL };

	return (refused(syscall(SYS_execveat, AT_FDCWD, "/bin/true", none,
	    none, 0)));
}

static bool
no_fork(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	return (refused(child));
}

static bool
no_raw_clone(void)
{

	return (refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)));
}

static bool
no_tracing(void)
{

	return (refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)));
}

static bool
no_peeking(void)
{

	return (refused(syscall(SYS_process_vm_readv, getppid(), NULL, 0,
	    NULL, 0, 0)));
}

static bool
no_packets(void)
{

	return (refused(socket(AF_PACKET, SOCK_RAW, 0)));
}

static bool
no_vsock(void)
{

	return (refused(socket(40, SOCK_STREAM, 0)));
}

static bool
no_signals(void)
{

	return (refused(kill(getppid(), 0)));
}

static bool
no_listening(void)
{
	int descriptor = socket(AF_INET, SOCK_STREAM, 0);

	return (descriptor != -1 && refused(listen(descriptor, 1)));
}

static bool
no_new_user(void)
{

	return (refused(setuid(getuid())));
}

static bool
no_namespace(void)
{

	return (refused(syscall(SYS_unshare, 0)));
}

static bool
no_keys(void)
{

	return (refused(syscall(SYS_keyctl, 0, 0, 0, 0, 0)));
}

static bool
no_programs_for_the_kernel(void)
{

	return (refused(syscall(SYS_bpf, 0, NULL, 0)));
}

static bool
no_rings(void)
{

	return (refused(syscall(SYS_io_uring_setup, 1, NULL)));
}

static bool
no_dumps_again(void)
{

	return (refused(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)));
}

static bool
no_limits(void)
{
	struct rlimit limit = { 10, 10 };

	return (refused(setrlimit(RLIMIT_CORE, &limit)));
}

static bool
no_code_is_written(void)
{
	void * page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return (page == MAP_FAILED && refused(-1));
}

static bool
no_code_from_data(void)
{
	void * page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return (page != MAP_FAILED &&
	    refused(mprotect(page, 4096, PROT_READ | PROT_EXEC)));
}

/* A memfd with something in it that could be executed. */
static int
written_code(void)
{
	int descriptor = memfd_create("code", MFD_CLOEXEC);

	if (descriptor == -1 || ftruncate(descriptor, 4096) != 0 ||
	    write(descriptor, "\xc3", 1) != 1)
		abort();
	return (descriptor);
}

static bool
no_code_by(int descriptor, int flags)
{
	void * page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, flags,
	    descriptor, 0);

	return (page == MAP_FAILED && refused(-1));
}

static bool
no_code_by_two_mappings(void)
{
	int descriptor = written_code();
	void * page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
	    descriptor, 0);

	return (page != MAP_FAILED && no_code_by(descriptor, MAP_SHARED));
}

static bool
no_code_by_a_private_mapping(void)
{

	return (no_code_by(written_code(), MAP_PRIVATE));
}

static bool
no_code_in_a_file(void)
{
	int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0700);

	return (descriptor != -1 && write(descriptor, "\xc3", 1) == 1 &&
	    no_code_by(descriptor, MAP_PRIVATE) && unlink(path) == 0);
}

static bool
no_code_by_keys(void)
{
	void * page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return (page != MAP_FAILED && refused(syscall(SYS_pkey_mprotect, page,
	    4096, PROT_READ | PROT_EXEC, -1)));
}

static bool
no_remapping(void)
{
	void * page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED,
	    written_code(), 0);

	return (page != MAP_FAILED && refused(syscall(SYS_remap_file_pages,
	    page, 4096, 0, 0, 0)));
}

static bool
no_shared_segments(void)
{

	return (refused(syscall(SYS_shmget, IPC_PRIVATE, 4096, 0700)) &&
	    refused(syscall(SYS_shmat, 0, NULL, SHM_EXEC)));
}

/* READ_IMPLIES_EXEC would make all memory executable from then on. */
static bool
no_personality(void)
{

	return (refused(syscall(SYS_personality, READ_IMPLIES_EXEC)));
}

/* What must go on working. */

static void *
thread(void * context)
{

	*(int *)context = 7;
	/* It is confined, too. */
	return (no_program() ? context : NULL);
}

static bool
threads(void)
{
	void * result = NULL;
	int number = 0;
	pthread_t id;

	return (pthread_create(&id, NULL, thread, &number) == 0 &&
	    pthread_join(id, &result) == 0 && number == 7 &&
	    result == &number);
}

static bool
names(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo * found;

	if (getaddrinfo("localhost", "6379", &hints, &found) != 0)
		return (false);
	freeaddrinfo(found);
	return (true);
}

static bool
files(void)
{
	int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct flock lock = { .l_type = F_WRLCK };
	void * page;

	if (descriptor == -1 || write(descriptor, "x", 1) != 1 ||
	    fcntl(descriptor, F_SETLK, &lock) != 0 ||
	    ftruncate(descriptor, 8192) != 0 || fsync(descriptor) != 0)
		return (false);
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED,
	    descriptor, 0);
	return (page != MAP_FAILED && *(char *)page == 'x' &&
	    munmap(page, 8192) == 0 && close(descriptor) == 0 &&
	    unlink(path) == 0);
}

static bool
limits(void)
{
	struct rlimit limit;

	return (getrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static bool
privileges(void)
{

	return (prctl(PR_SET_NAME, "confined", 0, 0, 0) == 0);
}

static const struct {
	const char * name;
	bool (* holds)(void);
} cases[] = {
	{ "no program is executed", no_program },
	{ "in no other way", no_program_at },
	{ "no process is made", no_fork },
	{ "in no other way", no_raw_clone },
	{ "nobody is traced", no_tracing },
	{ "nobody's memory is read", no_peeking },
	{ "no socket of packets", no_packets },
	{ "no socket of virtual machines", no_vsock },
	{ "no signal to another process", no_signals },
	{ "no new listening socket", no_listening },
	{ "no change of user", no_new_user },
	{ "no namespace", no_namespace },
	{ "no keys", no_keys },
	{ "no eBPF", no_programs_for_the_kernel },
	{ "no io_uring", no_rings },
	{ "no way back to core dumps", no_dumps_again },
	{ "no change of limits", no_limits },
	{ "no memory for writing and executing", no_code_is_written },
	{ "no memory for executing later", no_code_from_data },
	{ "no code in a memfd mapped twice", no_code_by_two_mappings },
	{ "no code in a memfd mapped privately", no_code_by_a_private_mapping },
	{ "no code in a file that was written", no_code_in_a_file },
	{ "no code by protection keys", no_code_by_keys },
	{ "no pages mapped anew", no_remapping },
	{ "no System V shared memory", no_shared_segments },
	{ "no other personality", no_personality },
	{ "threads", threads },
	{ "names", names },
	{ "files", files },
	{ "limits are known", limits },
	{ "names of threads", privileges },
};

/* Is there in a build with --enable-coverage. */
void __gcov_dump(void) __attribute__((weak));

/* Run a function in a child of its own; return its status. */
static int
in_child(int (* function)(size_t), size_t argument)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		argument = (size_t)function(argument);
		/* It must not remove the directory, but its lines count. */
		if (__gcov_dump != NULL)
			__gcov_dump();
		_exit((int)argument);
	}
	if (child == -1 || waitpid(child, &status, 0) != child)
		return (-1);
	return (WIFEXITED(status) ? WEXITSTATUS(status) :
	    1000 + WTERMSIG(status));
}

static int
confined(size_t i)
{

	if (sandbox_enter(true) != SANDBOX_ON)
		return (2);
	return (cases[i].holds() ? 0 : 1);
}

static int
unavailable(size_t argument)
{

	(void)argument;
	return (sandbox_enter(true) == SANDBOX_UNAVAILABLE &&
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1);
}

static int
aborts(size_t argument)
{

	(void)argument;
	if (sandbox_enter(true) == SANDBOX_ON)
		abort();
	return (1);
}

static int
keeps(size_t keep)
{
	int i;

	while (dup(STDOUT_FILENO) < 20)
		continue;
	sandbox_descriptors((unsigned int)keep);
	for (i = 0; i <= 20; i++)
		if ((fcntl(i, F_GETFD) != -1) != (i < 3 + (int)keep))
			return (1);
	return (0);
}

#ifdef HAVE_SECCOMP

/* Be in a kernel that has not got a system call. */
static void
lose_call(int number)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0) != 0 ||
	    seccomp_load(filter) != 0)
		abort();
	seccomp_release(filter);
}

static int
keeps_in_old_kernel(size_t keep)
{

#ifdef SYS_close_range
	lose_call(SYS_close_range);
#endif
	return (keeps(keep));
}

/* Nor can it ask for a filter in the way that is older than that call. */
static int
without_filters(size_t argument)
{
	struct scmp_arg_cmp asked = { .arg = 0, .op = SCMP_CMP_EQ,
	    .datum_a = PR_SET_SECCOMP };
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EINVAL),
	    SCMP_SYS(prctl), 1, &asked) != 0 ||
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
	    SCMP_SYS(seccomp), 0) != 0 || seccomp_load(filter) != 0)
		abort();
	seccomp_release(filter);
	return (unavailable(argument));
}

#endif

static int
dumps(size_t argument)
{

	(void)argument;
	sandbox_memory();
	return (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
}

int
main(void)
{
	size_t i;

	temporary_create();
	temporary_path(path, "file");
	setbuf(stdout, NULL);
	for (i = 0; CONFINED && i < sizeof(cases) / sizeof(cases[0]); i++)
		is_integer(in_child(confined, i), 0, "%s", cases[i].name);
	if (CONFINED)
		is_integer(in_child(aborts, 0), 1000 + SIGABRT,
		    "it can put an end to itself");
	else
		is_integer(in_child(unavailable, 0), 0,
		    "without a filter it goes on, with what there is");
	is_integer(in_child(keeps, 0), 0, "inherited descriptors are closed");
	is_integer(in_child(keeps, 2), 0, "but for those that were passed");
#ifdef HAVE_SECCOMP
	is_integer(in_child(keeps_in_old_kernel, 0), 0,
	    "they are closed one by one where close_range is missing");
	is_integer(in_child(keeps_in_old_kernel, 2), 0,
	    "but for those that were passed, there too");
	is_integer(in_child(without_filters, 0), 0,
	    "a kernel without filters: it goes on, with what there is");
#endif
	is_integer(in_child(dumps, 0), SANITIZED, "no core is dumped");
	return (tap_done());
}
