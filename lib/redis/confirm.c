#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/redis/confirm.h"
#include "lib/redis/redis.h"

void
confirm_request(const struct confirm * confirm, int64_t limit,
    struct buffer * requests)
{
	bool aof = confirm->aof && !confirm->unknown;

	buffer_array(requests, aof ? 4 : 3);
	buffer_text(requests, aof ? "WAITAOF" : "WAIT");
	if (aof)
		buffer_integer(requests, 1);
	buffer_integer(requests, (int64_t)confirm->replicas);
	buffer_integer(requests, limit);
}

/* Redis before 7.2 has no WAITAOF. */
static bool
lacks_waitaof(const struct confirm * confirm, const struct redis_reply * reply)
{
	static const char words[] = "ERR unknown command";

	return (confirm->aof && !confirm->unknown &&
	    reply->length >= strlen(words) &&
	    strncasecmp(reply->text, words, strlen(words)) == 0);
}

bool
confirm_take(struct confirm * confirm, const struct redis_reply * reply,
    char why[CONFIRM_WHY_MAX])
{
	uint64_t replicas = 0;

	if (reply->type == REDIS_ERROR && lacks_waitaof(confirm, reply)) {
		confirm->unknown = true;
		why[0] = '\0';
		log_warning_limited("redis_aof: this Redis has no WAITAOF, so "
		    "replicas confirm counts before they are in their files");
		return (false);
	}
	if (reply->type == REDIS_ERROR) {
		snprintf(why, CONFIRM_WHY_MAX, "%.*s", (int)reply->length,
		    reply->text);
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
