#include <errno.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/shmfile.h"
#include "lib/stats/stats.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/temporary.h"

/*
 * The file that processes share, with any bytes in it: it is used, grown, or
 * left alone, and what one opens afterwards it can use.  And the numbers of
 * such a file, as Prometheus' text.
 */
#define SIZE 64

static char path[PATH_MAX], numbers[PATH_MAX];

static void
write_file(const char * name, const uint8_t * bytes, size_t length)
{
	int descriptor = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0600);

	must(descriptor != -1);
	must(write(descriptor, bytes, length) == (ssize_t)length);
	close(descriptor);
}

static void
check_shared(const uint8_t * bytes, size_t length)
{
	char name[SHMFILE_NAME_MAX];
	unsigned char * memory;
	size_t i;

	must(shmfile_name(name, path, 7) == 0);
	write_file(name, bytes, length);
	memory = shmfile_open(path, 7, SIZE, NULL);
	if (memory == NULL) {
		must(errno == EEXIST && length > SIZE);
		return;
	}
	must(memcmp(memory, bytes, length) == 0);
	for (i = 0; i < SIZE; i++)
		memory[i] ^= 0xff;
	shmfile_close(memory, SIZE);
}

/* Complete the path of a file by its layout. */
static bool
find_file(char * name, struct stat * file)
{
	char pattern[PATH_MAX + 2];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s-*", name);
	if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc != 1)
		return (false);
	snprintf(name, PATH_MAX, "%s", found.gl_pathv[0]);
	globfree(&found);
	return (stat(name, file) == 0);
}

/* Any numbers in a file that fits. */
static void
check_stats(const uint8_t * bytes, size_t length)
{
	static struct stats * stats;
	static struct stat file;
	struct buffer text = { NULL, 0, 0 };
	int descriptor;
	size_t i;

	if (stats == NULL) {
		stats = stats_open(numbers);
		must(stats != NULL && find_file(numbers, &file));
	}
	descriptor = open(numbers, O_WRONLY | O_CLOEXEC);
	must(descriptor != -1);
	if (length > (size_t)file.st_size)
		length = (size_t)file.st_size;
	must(pwrite(descriptor, bytes, length, 0) == (ssize_t)length);
	close(descriptor);
	stats_add(stats, STATS_REPLAYED, 1);
	stats_observe(stats, STATS_PARSE_TIME, length);
	stats_write(stats, &text);
	must(text.length > 0 && text.bytes[text.length - 1] == '\n');
	for (i = 0; i < text.length; i++)
		must(text.bytes[i] == '\n' || (text.bytes[i] >= 0x20 &&
		    text.bytes[i] < 0x7f));
	buffer_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	struct fuzz fuzz = { bytes, length };
	unsigned int which = fuzz_byte(&fuzz);

	if (path[0] == '\0') {
		if (access("/dev/shm", W_OK) == 0)
			setenv("TMPDIR", "/dev/shm", 1);
		temporary_create();
		temporary_path(path, "shared");
		temporary_path(numbers, "numbers");
		log_set_level(LOG_LEVEL_ERROR);
	}
	if ((which & 1) != 0)
		check_stats(fuzz.bytes, fuzz.length);
	else
		check_shared(fuzz.bytes, fuzz.length);
	return (0);
}
