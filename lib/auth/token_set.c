#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/auth/digest_cache.h"
#include "lib/auth/token_set.h"
#include "lib/base/alloc.h"
#include "lib/base/blocking.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"

/*
 * The set holds digests and nothing else: no secret can be read out of Redis,
 * a token is known or not in one step, and many are asked for with one
 * SMISMEMBER.  A member needs no environment beside it, as the digest covers
 * the token's text with its environment in it.  The digest of a frontend token
 * has FRONTEND before it, so that a member says where its token may report.
 * Answers are cached under the SHA-256 of such a member, and under a client
 * token's digest itself.
 *
 * What is known is remembered, and each kind of answer has its own time:
 *
 *   yes   is good for `refresh`, so a token that is revoked is out then.  After
 *         that Redis is asked again; while it cannot be asked, yes is good for
 *         `grace`.  It stands in a file that all processes of the host share,
 *         so it also serves plain CGI, and survives a restart.
 *   no    is good for a second, so that whoever goes on sending a bad token
 *         costs Redis nothing, and one that is issued is in within a second.
 *   none  (Redis is away, or the set is not there) is never remembered.  The
 *         request is answered 503, never 403: Unleash Edge throws away what it
 *         has to report when it gets a 403.
 *
 * A set that is not there says nothing about a token.  Redis removes a set with
 * its last member, and a Redis that has lost its data, or another that answers
 * to the name, has none either.  Nobody gets in then who is not in the file of
 * tokens, once `refresh` has passed, and nobody's counts are thrown away.
 *
 * Requests that have to ask hand their digests to one thread, which asks for
 * all that wait with one command: while one is on its way the next ones gather,
 * as groups do in commit.  So random tokens, however many, cost one exchange
 * after the other, which take well under a millisecond, and never drive a good
 * token out: what is remembered of bad ones stands in a cache of its own.
 *
 * Nobody waits for a Redis that is known to be away, nor longer than a moment
 * for a slow one if a yes is remembered, however old.  The thread finds out by
 * itself when Redis is back.
 */

/* How long no is good, in milliseconds, and how many of them there may be. */
#define NO_MS 1000
#define NO_SIZE 4096

/* A request that has an old answer waits for a new one so long. */
#define PATIENCE 100

/* So many digests are asked for at once; a reply holds REDIS_INTEGERS_MAX. */
#define BATCH_MAX 1000

/* Of the lines that say that tokens cannot be looked up. */
static struct log_limit lookup_limit;

enum answer {
	ANSWER_NONE,			/* Redis cannot be asked. */
	ANSWER_MISSING,			/* There is no set. */
	ANSWER_NO,
	ANSWER_YES,
};

/* Before the digest of a frontend token. */
#define FRONTEND "frontend:"

#define HEX_LENGTH ((size_t)2 * DIGEST_SIZE)
#define MEMBER_MAX (sizeof(FRONTEND) - 1 + HEX_LENGTH)

/* A token as a member of the set, and as a digest of the caches. */
struct identity {
	char member[MEMBER_MAX];
	size_t length;
	unsigned char digest[DIGEST_SIZE];
};

/* Belongs to the request that waits and to the thread; the last frees it. */
struct lookup {
	struct lookup * next;
	struct identity identity;
	int64_t asked;			/* When, in ms since 1970. */
	enum answer answer;
	bool answered;
	bool left;			/* Nobody waits any more. */
	pthread_cond_t wake;
};

struct token_set {
	struct token_set_settings settings;
	struct redis * redis;
	struct buffer requests;
	struct digest_cache * yes;
	struct digest_cache * no;
	pthread_t thread;

	pthread_mutex_t lock;		/* Guards what follows. */
	pthread_cond_t work;
	struct lookup * first;
	struct lookup ** end;
	bool away;			/* Nobody waits. */
	bool slow;			/* Nobody waits who has an answer. */
	bool stopping;
};

/* Exchanges with Redis */

/* What the replies say about the lookups, which are asked for in order. */
struct replies {
	struct lookup * lookups;
	bool missing;
	char trouble[200];		/* An error, or "". */
};

static void
take_reply(void * context, size_t number, const struct redis_reply * reply)
{
	struct replies * replies = context;
	struct lookup * lookup = replies->lookups;
	size_t i;

	if (reply->type == REDIS_ERROR && replies->trouble[0] == '\0')
		snprintf(replies->trouble, sizeof(replies->trouble),
		    "the set of tokens: %.*s", (int)reply->length,
		    reply->text);
	if (number == 0 && reply->type == REDIS_ARRAY)
		for (i = 0; i < reply->count && lookup != NULL; i++) {
			lookup->answer = reply->integers[i] == 1 ?
			    ANSWER_YES : ANSWER_NO;
			lookup = lookup->next;
		}
	if (number == 1 && reply->type == REDIS_INTEGER)
		replies->missing = reply->integers[0] == 0;
}

/* SMISMEMBER and EXISTS; without a lookup it asks whether Redis serves. */
static void
request(struct token_set * issuer, const struct lookup * lookups)
{
	struct buffer * requests = &issuer->requests;
	const struct lookup * lookup;
	size_t count = 0;

	for (lookup = lookups; lookup != NULL; lookup = lookup->next)
		count++;
	buffer_clear(requests);
	buffer_array(requests, 2 + (count == 0 ? 1 : count));
	buffer_text(requests, "SMISMEMBER");
	buffer_text(requests, issuer->settings.key);
	for (lookup = lookups; lookup != NULL; lookup = lookup->next)
		buffer_string(requests, lookup->identity.member,
		    lookup->identity.length);
	if (count == 0)
		buffer_text(requests, "");
	buffer_array(requests, 2);
	buffer_text(requests, "EXISTS");
	buffer_text(requests, issuer->settings.key);
}

static bool
reach(struct redis * redis, int64_t deadline)
{

	while (redis_connect(redis, deadline) != 0)
		if (redis_next_attempt(redis) >= deadline ||
		    clock_remaining(deadline) == 0)
			return (false);
	return (true);
}

static bool
exchange(struct token_set * issuer, struct replies * replies, int64_t deadline)
{
	struct redis * redis = issuer->redis;
	int tries = 2;

	/* A connection may have been closed since it was used last. */
	do {
		if (!reach(redis, deadline))
			return (false);
		replies->trouble[0] = '\0';
		request(issuer, replies->lookups);
		if (redis_exchange(redis, &issuer->requests, 2, deadline,
		    take_reply, replies) != 0)
			continue;
		if (replies->trouble[0] != '\0') {
			redis_back_off(redis, replies->trouble);
			return (false);
		}
		redis_serves(redis);
		return (true);
	} while (--tries > 0);
	redis_back_off(redis, "the connection breaks again and again");
	return (false);
}

static void
complain_of_missing(const struct token_set * issuer)
{

	log_warning_limited("there is no set %s in Redis, so nothing is known "
	    "of tokens that are not in the token file: their requests are "
	    "answered 503", issuer->settings.key);
}

/* Ask for all these.  Return whether Redis could be asked. */
static bool
ask(struct token_set * issuer, struct lookup * lookups, int64_t deadline)
{
	struct replies replies = { .lookups = lookups };
	struct lookup * lookup;
	bool asked;

	for (lookup = lookups; lookup != NULL; lookup = lookup->next)
		lookup->asked = clock_now_ms();
	asked = exchange(issuer, &replies, deadline);
	if (asked && replies.missing)
		complain_of_missing(issuer);
	for (lookup = lookups; lookup != NULL; lookup = lookup->next) {
		if (!asked)
			lookup->answer = ANSWER_NONE;
		else if (replies.missing)
			lookup->answer = ANSWER_MISSING;
		if (lookup->answer == ANSWER_YES)
			digest_cache_put(issuer->yes, lookup->identity.digest,
			    lookup->asked);
		if (lookup->answer == ANSWER_NO) {
			digest_cache_remove(issuer->yes,
			    lookup->identity.digest);
			digest_cache_put(issuer->no, lookup->identity.digest,
			    lookup->asked);
		}
	}
	return (asked);
}

/* The thread */

static void
lookup_free(struct lookup * lookup)
{

	pthread_cond_destroy(&lookup->wake);
	free(lookup);
}

/* Wake those who wait for these; the caller holds the lock. */
static void
settle(struct lookup * lookups)
{
	struct lookup * next;

	for (; lookups != NULL; lookups = next) {
		next = lookups->next;
		if (lookups->left) {
			lookup_free(lookups);
			continue;
		}
		lookups->answered = true;
		pthread_cond_signal(&lookups->wake);
	}
}

/* Take lookups off the queue; the caller holds the lock. */
static struct lookup *
take(struct token_set * issuer, size_t most)
{
	struct lookup * taken = issuer->first;
	struct lookup ** end = &issuer->first;
	size_t count;

	for (count = 0; *end != NULL && count < most; count++)
		end = &(*end)->next;
	issuer->first = *end;
	*end = NULL;
	if (issuer->first == NULL)
		issuer->end = &issuer->first;
	return (taken);
}

/* Nobody is to wait until Redis serves again; the caller holds the lock. */
static void
give_up(struct token_set * issuer, const char * why)
{

	if (!issuer->away)
		log_limited(&lookup_limit, LOG_LEVEL_WARNING, "tokens in "
		    "Redis cannot be looked up: %s; those that were good "
		    "lately stay so", why);
	issuer->away = true;
	settle(take(issuer, SIZE_MAX));
}

/* The caller holds the lock. */
static void
note_state(struct token_set * issuer, bool asked)
{

	if (!asked) {
		give_up(issuer, redis_error(issuer->redis));
		return;
	}
	if (issuer->away && log_ended(&lookup_limit))
		log_info("tokens in Redis can be looked up again");
	issuer->away = issuer->slow = false;
}

/* The caller holds the lock. */
static void
wait_for_work(struct token_set * issuer)
{
	int64_t until = redis_next_attempt(issuer->redis);
	struct timespec limit = clock_timespec(until);

	if (issuer->away)
		pthread_cond_timedwait(&issuer->work, &issuer->lock, &limit);
	else
		pthread_cond_wait(&issuer->work, &issuer->lock);
}

static void *
run(void * context)
{
	struct token_set * issuer = context;
	struct lookup * lookups;
	bool asked;

	pthread_mutex_lock(&issuer->lock);
	while (!issuer->stopping) {
		if (issuer->first == NULL && !(issuer->away && clock_remaining(
		    redis_next_attempt(issuer->redis)) == 0)) {
			wait_for_work(issuer);
			continue;
		}
		lookups = take(issuer, BATCH_MAX);
		pthread_mutex_unlock(&issuer->lock);
		asked = ask(issuer, lookups, clock_monotonic() +
		    TOKEN_SET_TIME_MAX);
		pthread_mutex_lock(&issuer->lock);
		settle(lookups);
		note_state(issuer, asked);
	}
	settle(take(issuer, SIZE_MAX));
	pthread_mutex_unlock(&issuer->lock);
	return (NULL);
}

/* Requests */

static struct timespec
after(int64_t milliseconds)
{

	return (clock_timespec(clock_monotonic() + milliseconds));
}

static void
init_condition(pthread_cond_t * condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

/* Have the thread ask; ${remembered} says that there is an old answer. */
static enum answer
wait_for_answer(struct token_set * issuer, const struct identity * identity,
    bool remembered)
{
	struct lookup * lookup = alloc_zeroed(1, sizeof(*lookup));
	struct timespec limit = after(remembered ?
	    PATIENCE : TOKEN_SET_TIME_MAX);
	enum answer answer = ANSWER_NONE;
	int error = 0;

	lookup->identity = *identity;
	init_condition(&lookup->wake);
	pthread_mutex_lock(&issuer->lock);
	if (!issuer->away && !issuer->stopping &&
	    !(remembered && issuer->slow)) {
		*issuer->end = lookup;
		issuer->end = &lookup->next;
		pthread_cond_signal(&issuer->work);
		blocking_thread();
		while (!lookup->answered && error == 0)
			error = pthread_cond_timedwait(&lookup->wake,
			    &issuer->lock, &limit);
		answer = lookup->answered ? lookup->answer : ANSWER_NONE;
		lookup->left = !lookup->answered;
	}
	if (!lookup->left)
		lookup_free(lookup);
	else if (remembered)
		issuer->slow = true;
	else
		give_up(issuer, "no answer in time");
	pthread_mutex_unlock(&issuer->lock);
	return (answer);
}

static enum answer
find_out(struct token_set * issuer, const struct identity * identity,
    bool remembered)
{
	struct lookup lookup = { .next = NULL };

	if (!issuer->settings.once)
		return (wait_for_answer(issuer, identity, remembered));
	lookup.identity = *identity;
	ask(issuer, &lookup, clock_monotonic() + TOKEN_SET_TIME_MAX);
	return (lookup.answer);
}

static enum token_verdict
counted(const struct token_set * issuer, enum stats_counter counter,
    enum token_verdict verdict)
{

	stats_add(issuer->settings.stats, counter, 1);
	return (verdict);
}

static enum token_verdict
check(struct token_set * issuer, const struct identity * identity)
{
	const unsigned char * digest = identity->digest;
	int64_t now = clock_now_ms();
	int64_t yes = digest_cache_find(issuer->yes, digest);
	int64_t no = digest_cache_find(issuer->no, digest);
	bool remembered;

	if (yes != 0 && now >= yes && now - yes < issuer->settings.refresh)
		return (counted(issuer, STATS_TOKENS_CACHED, TOKEN_GRANTED));
	if (no != 0 && now >= no && now - no < NO_MS)
		return (counted(issuer, STATS_TOKENS_CACHED, TOKEN_UNKNOWN));
	/* A clock that was set back makes a time lie ahead. */
	remembered = yes != 0 && (now >= yes ? now - yes : yes - now) <
	    issuer->settings.grace;
	switch (find_out(issuer, identity, remembered)) {
	case ANSWER_YES:
		return (counted(issuer, STATS_TOKENS_ASKED, TOKEN_GRANTED));
	case ANSWER_NO:
		return (counted(issuer, STATS_TOKENS_ASKED, TOKEN_UNKNOWN));
	case ANSWER_MISSING:
		break;
	case ANSWER_NONE:
		if (remembered)
			return (counted(issuer, STATS_TOKENS_STALE,
			    TOKEN_GRANTED));
		break;
	}
	return (counted(issuer, STATS_TOKENS_FAILED, TOKEN_UNAVAILABLE));
}

static void
identify(struct identity * identity, const char * token, size_t length,
    enum token_kind kind)
{
	char hex[2 * DIGEST_SIZE + 1];

	digest_sha256(token, length, identity->digest);
	digest_hex(hex, identity->digest, DIGEST_SIZE);
	identity->length = HEX_LENGTH;
	if (kind == TOKEN_CLIENT) {
		memcpy(identity->member, hex, HEX_LENGTH);
		return;
	}
	memcpy(identity->member, FRONTEND, strlen(FRONTEND));
	memcpy(identity->member + strlen(FRONTEND), hex, HEX_LENGTH);
	identity->length += strlen(FRONTEND);
	digest_sha256(identity->member, identity->length, identity->digest);
}

enum token_verdict
token_set_check(struct token_set * issuer, const char * token, size_t length,
    enum token_kind kind, struct token_grant * grant)
{
	struct identity identity;
	enum token_verdict verdict;
	const char * environment;
	size_t size;

	/* What is no token at all is in no set. */
	environment = token_file_environment(token, length, &size);
	if (environment == NULL)
		return (TOKEN_UNKNOWN);
	identify(&identity, token, length, kind);
	verdict = check(issuer, &identity);
	if (verdict == TOKEN_GRANTED)
		token_file_grant(grant, environment, size);
	return (verdict);
}

/* Start and stop */

static void
destroy(struct token_set * issuer)
{

	redis_free(issuer->redis);
	buffer_free(&issuer->requests);
	digest_cache_close(issuer->yes);
	digest_cache_close(issuer->no);
	pthread_mutex_destroy(&issuer->lock);
	pthread_cond_destroy(&issuer->work);
	free(issuer);
}

struct token_set *
token_set_start(const struct token_set_settings * settings,
    struct redis * redis)
{
	struct token_set * issuer = alloc_zeroed(1, sizeof(*issuer));
	int error;

	issuer->settings = *settings;
	issuer->redis = redis;
	issuer->end = &issuer->first;
	issuer->yes = digest_cache_open(settings->path,
	    DIGEST_CACHE_SHARED_SIZE);
	issuer->no = digest_cache_open(NULL, NO_SIZE);
	pthread_mutex_init(&issuer->lock, NULL);
	init_condition(&issuer->work);
	if (settings->once)
		return (issuer);
	error = pthread_create(&issuer->thread, NULL, run, issuer);
	if (error == 0)
		return (issuer);
	destroy(issuer);
	errno = error;
	return (NULL);
}

static bool
join(struct token_set * issuer, int64_t deadline)
{
	/* Joining knows the time of day only. */
	struct timespec limit = clock_timespec(clock_now_ms() +
	    clock_remaining(deadline));

	pthread_mutex_lock(&issuer->lock);
	issuer->stopping = true;
	pthread_cond_signal(&issuer->work);
	pthread_mutex_unlock(&issuer->lock);
	return (pthread_timedjoin_np(issuer->thread, NULL, &limit) == 0);
}

bool
token_set_stop(struct token_set * issuer, int64_t deadline)
{

	if (issuer == NULL)
		return (true);
	if (!issuer->settings.once && !join(issuer, deadline))
		return (false);
	destroy(issuer);
	return (true);
}
