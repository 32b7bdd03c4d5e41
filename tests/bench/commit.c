#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/config/config.h"
#include "lib/base/digest.h"
#include "lib/redis/redis.h"
#include "lib/redis/sink.h"
#include "lib/spool/spool.h"
#include "lib/tally/tally.h"

/*
 * Groups of TALLIES tallies, each with all of COUNTERS distinct counters, are
 * merged and put into Redis as the committer does it; or they are put into a
 * spool, one after the other.
 *
 * usage: commit SOCKET TALLIES COUNTERS APPLICATIONS GROUPS [FEED [PUBLISH]]
 *        commit --spool FILE TALLIES COUNTERS APPLICATIONS
 *
 * Prints the nanoseconds of CPU time that merging and sending took here.
 */
#define PERIOD 498729			/* 2026-11-23T09, in hours. */
#define PREFIX "flagtally"

struct plan {
	unsigned int tallies;
	unsigned int counters;
	unsigned int applications;
	size_t feed;			/* Entries; 0: none. */
	bool publish;
};

static void
fail(const char * what)
{

	fprintf(stderr, "commit: %s\n", what);
	exit(1);
}

/* Yes and no of so many features, spread over the applications. */
static struct tally *
make_tally(struct arena * arena, const struct plan * plan)
{
	struct tally * tally = tally_create(arena);
	struct text environment = text_of("production");
	unsigned int i;

	for (i = 0; i < plan->counters; i += 2) {
		unsigned int which = i / 2 % plan->applications;
		char application[32], feature[32];
		struct text application_name, feature_name;
		struct tally_node * node;

		snprintf(application, sizeof(application), "shop-%u", which);
		snprintf(feature, sizeof(feature), "flag-%u",
		    i / 2 / plan->applications);
		application_name = text_of(application);
		feature_name = text_of(feature);
		node = tally_feature(tally, &environment, &application_name,
		    PERIOD, &feature_name);
		tally_add(tally, &node->yes, 3);
		if (i + 1 < plan->counters)
			tally_add(tally, &node->no, 5);
	}
	return (tally);
}

static int64_t
cpu_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (now.tv_sec * INT64_C(1000000000) + now.tv_nsec);
}

static void
commit_groups(const struct plan * plan, const char * path, int groups)
{
	struct sink_settings settings = { .prefix = PREFIX,
	    .retention_hourly = 48 * 3600, .retention_daily = 90 * 86400,
	    .limit_features = 10000, .limit_applications = 1000,
	    .limit_instances = 10000, .limit_series = 10000,
	    .feed = plan->feed, .publish = plan->publish };
	struct redis_address config = { .unix_path = alloc_string(path) };
	struct sink * sink = sink_create(&settings, cluster_create(&config,
	    10000, "benchmark"));
	struct arena * sources = arena_create(1 << 20);
	struct arena * arena = arena_create(1 << 20);
	struct tally ** tallies = alloc_zeroed(plan->tallies,
	    sizeof(*tallies));
	struct tally * merged;
	int64_t spent = 0;
	unsigned int i;

	for (; groups > 0; groups--) {
		for (i = 0; i < plan->tallies; i++)
			tallies[i] = make_tally(sources, plan);
		spent -= cpu_time();
		merged = tally_create(arena);
		for (i = 0; i < plan->tallies; i++)
			tally_merge(merged, tallies[i]);
		if (sink_commit(sink, merged, clock_monotonic() + 60000) !=
		    SINK_APPLIED)
			fail(sink_reason(sink));
		spent += cpu_time();
		arena_reset(arena);
		arena_reset(sources);
	}
	printf("%" PRId64 "\n", spent);
	sink_free(sink);
	arena_free(arena);
	arena_free(sources);
	free(tallies);
	free(config.unix_path);
}

static void
fill_spool(const struct plan * plan, const char * path)
{
	struct spool * spool = spool_open(path, UINT64_C(1) << 40, false);
	struct arena * arena = arena_create(1 << 20);
	struct tally * tally = make_tally(arena, plan);
	int64_t spent = -cpu_time();
	unsigned int i;

	for (i = 0; i < plan->tallies; i++)
		if (spool_append(spool, tally) != SPOOL_DONE)
			fail("the spool does not take it");
	printf("%" PRId64 "\n", spent + cpu_time());
	arena_free(arena);
	spool_free(spool);
}

int
main(int argc, char ** argv)
{
	bool spool = argc == 6 && strcmp(argv[1], "--spool") == 0;
	struct plan plan = { .feed = 0 };
	char ** numbers = argv + (spool ? 3 : 2);

	if (argc < 6 || argc > (spool ? 6 : 8) || digest_init() != 0)
		fail("usage: commit SOCKET TALLIES COUNTERS APPLICATIONS "
		    "GROUPS [FEED [PUBLISH]]");
	if (argc > 6)
		plan.feed = strtoul(argv[6], NULL, 10);
	plan.publish = argc > 7 && atoi(argv[7]) != 0;
	plan.tallies = (unsigned int)strtoul(numbers[0], NULL, 10);
	plan.counters = (unsigned int)strtoul(numbers[1], NULL, 10);
	plan.applications = (unsigned int)strtoul(numbers[2], NULL, 10);
	if (plan.tallies == 0 || plan.counters == 0 || plan.applications == 0)
		fail("numbers must be positive");
	if (spool)
		fill_spool(&plan, argv[2]);
	else
		commit_groups(&plan, argv[1], atoi(argv[5]));
	return (0);
}
