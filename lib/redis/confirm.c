#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/redis/confirm.h"
#include "lib/redis/reply.h"

/*
 * WAIT also goes before WAITAOF.  A replica is asked at once how far its file
 * is, but it reads that question together with the counts, and answers before
 * it has written these to the file; after that, it says how far it is once in a
 * second only.  When WAIT is done, they are in the file.
 */
size_t
confirm_request(const struct confirm * confirm, int64_t limit,
    struct buffer * requests)
{
	bool aof = confirm->aof && !confirm->unknown;

	/* 0 would mean for ever. */
	limit = aof && limit > 1 ? limit / 2 : limit;
	buffer_array(requests, 3);
	buffer_text(requests, "WAIT");
	buffer_integer(requests, (int64_t)confirm->replicas);
	buffer_integer(requests, limit);
	if (!aof)
		return (1);
	buffer_array(requests, 4);
	buffer_text(requests, "WAITAOF");
	buffer_integer(requests, 1);
	buffer_integer(requests, (int64_t)confirm->replicas);
	buffer_integer(requests, limit);
	return (2);
}

bool
confirm_take(struct confirm * confirm, const struct redis_reply * reply,
    char why[CONFIRM_WHY_MAX])
{
	char words[ERROR_REPLY_MAX];
	uint64_t replicas = 0;

	/* Redis before 7.2 has no WAITAOF. */
	if (confirm->aof && !confirm->unknown &&
	    reply->error.code == ERROR_UNKNOWN_COMMAND) {
		confirm->unknown = true;
		log_warning_limited("redis_aof: this Redis has no WAITAOF, so "
		    "replicas confirm counts before they are in their files");
		return (true);
	}
	if (reply->type == REDIS_ERROR) {
		snprintf(why, CONFIRM_WHY_MAX, "%s",
		    error_reply_print(&reply->error, words));
		return (false);
	}
	if (reply->type == REDIS_INTEGER && reply->integers[0] > 0)
		replicas = (uint64_t)reply->integers[0];
	if (reply->type == REDIS_ARRAY && reply->count == 2) {
		if (reply->integers[0] < 1) {
			snprintf(why, CONFIRM_WHY_MAX, "the counts are not in "
			    "the append-only file in time");
			return (false);
		}
		if (reply->integers[1] > 0)
			replicas = (uint64_t)reply->integers[1];
	}
	snprintf(why, CONFIRM_WHY_MAX, "%" PRIu64 " of %" PRIu64 " replicas "
	    "have the counts in time", replicas, confirm->replicas);
	return (replicas >= confirm->replicas);
}
