#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auth/digest_cache.h"
#include "lib/auth/token_set.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"
#include "lib/base/thread.h"
#include "lib/redis/session.h"

/*
 * The set holds only digests: no secret can be read from Redis, one step finds
 * whether a token is known, and one SMISMEMBER looks up many.  A member needs
 * no environment beside it, as the digest covers the token's text with its
 * environment in it.  The digest of a frontend token has FRONTEND before it,
 * so that a member shows where its token may report.  Answers are cached under
 * the SHA-256 of such a member, and under a client token's digest itself.
 *
 * Answers are cached, each kind for its own time:
 *
 *   yes   is good for `ttl`, so a revoked token is refused after that.
 *         Then Redis is asked again; while it cannot be reached, yes is good
 *         for `stale`.  These answers are in a file that all processes of the
 *         host share, so plain CGI has them too, and they survive a restart.
 *   no    is good for a second: a client that keeps sending a bad token costs
 *         Redis nothing, and a new token is accepted within a second.
 *   none  (Redis cannot be reached, or the set is missing) is never cached.
 *         The request gets 503, never 403: after a 403 Unleash Edge discards
 *         the metrics that it has to report.
 *
 * A missing set is no answer about a token.  Redis removes a set with its last
 * member, and a Redis that has lost its data, or another server under the same
 * name, has no set either.  Then, once `ttl` has passed, only tokens of the
 * token file are accepted, and no client discards its metrics.
 *
 * Requests queue their digests for one thread, which looks all of them up with
 * one command; while that is on its way the next ones gather, as groups do in
 * commit.  So any number of random tokens costs one exchange after the other,
 * each well under a millisecond.  They cannot evict good tokens, because bad
 * ones have a separate cache.
 *
 * A request does not wait for a Redis that is known to be away.  With a cached
 * yes, however old, it waits only STALE_WAIT_MS for a slow one.  The thread
 * tries Redis until it is back.
 */

/* How long a no is good, in milliseconds, and how many are cached. */
#define NO_MS 1000
#define NO_SIZE 4096

/* Milliseconds that a request with a stale yes waits for a new lookup. */
#define STALE_WAIT_MS 100

/* Digests in one SMISMEMBER; a reply holds REDIS_INTEGERS_MAX. */
#define BATCH_MAX 1000

/* Limits the log lines about lookups that fail. */
static struct log_limit lookup_limit;

enum lookup_result {
	LOOKUP_NONE,			/* Redis cannot be reached. */
	LOOKUP_MISSING,			/* There is no set. */
	LOOKUP_NO,
	LOOKUP_YES,
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

/* Shared by a request and the thread; the last one to use it frees it. */
struct lookup {
	struct lookup * next;
	struct identity identity;
	int64_t asked;			/* When, in ms since 1970. */
	enum lookup_result answer;
	bool answered;
	bool left;			/* The request waits no longer. */
	pthread_cond_t wake;
};

struct token_set {
	struct token_set_settings settings;
	struct session session;
	struct digest_cache * yes;
	struct digest_cache * no;
	pthread_t thread;

	pthread_mutex_t lock;		/* Guards what follows. */
	pthread_cond_t work;
	struct lookup * first;
	struct lookup ** end;
	bool away;			/* Redis is away: do not wait. */
	bool slow;			/* Redis is slow: use a stale answer
					 * instead of waiting. */
	bool stopping;
	bool ended;
};

/* Exchanges with Redis */

/* The replies to request_lookups, in the order of the lookups. */
struct replies {
	struct session * session;
	struct lookup * lookups;
	bool missing;
};

static void
take_token_replies(void * context, size_t number,
    const struct redis_reply * reply)
{
	struct replies * replies = context;
	struct lookup * lookup = replies->lookups;
	char words[ERROR_REPLY_MAX];
	size_t i;

	/* Whatever the error is, no token can be looked up now. */
	if (reply->type == REDIS_ERROR)
		snprintf(replies->session->trouble,
		    sizeof(replies->session->trouble),
		    "the set of tokens: %s",
		    error_reply_print(&reply->error, words));
	else if (number == 0 && reply->type == REDIS_ARRAY)
		for (i = 0; i < reply->count && lookup != NULL; i++) {
			lookup->answer = reply->integers[i] == 1 ?
			    LOOKUP_YES : LOOKUP_NO;
			lookup = lookup->next;
		}
	else if (number == 1 && reply->type == REDIS_INTEGER)
		replies->missing = reply->integers[0] == 0;
	else
		session_doubt(replies->session);
}

/* SMISMEMBER and EXISTS; without a lookup, the same only to probe Redis. */
static void
request_lookups(struct token_set * set, const struct lookup * lookups)
{
	const char * key = set->settings.key;
	const struct lookup * lookup;
	struct buffer * requests;
	size_t count = 0;

	for (lookup = lookups; lookup != NULL; lookup = lookup->next)
		count++;
	session_begin(&set->session);
	requests = session_request(&set->session, key, strlen(key));
	buffer_array(requests, 2 + (count == 0 ? 1 : count));
	buffer_text(requests, "SMISMEMBER");
	buffer_text(requests, key);
	for (lookup = lookups; lookup != NULL; lookup = lookup->next)
		buffer_string(requests, lookup->identity.member,
		    lookup->identity.length);
	if (count == 0)
		buffer_text(requests, "");
	requests = session_request(&set->session, key, strlen(key));
	buffer_array(requests, 2);
	buffer_text(requests, "EXISTS");
	buffer_text(requests, key);
}

static bool
exchange_lookups(struct token_set * set, struct replies * replies,
    int64_t deadline)
{
	struct session * session = &set->session;
	int tries = 2;

	/* Redis may have closed the connection since the last exchange. */
	do {
		if (!session_reach(session, deadline))
			return (false);
		request_lookups(set, replies->lookups);
		if (session_exchange(session, deadline, take_token_replies,
		    replies))
			return (true);
	} while (session->lost && --tries > 0);
	return (false);
}

static void
complain_of_missing(const struct token_set * set)
{

	log_warning_limited("there is no set %s in Redis: requests with tokens "
	    "that are not in the token file get 503", set->settings.key);
}

/* Look all of these up and cache the answers; return whether Redis replied. */
static bool
look_up_all(struct token_set * set, struct lookup * lookups, int64_t deadline)
{
	struct replies replies = { .session = &set->session,
	    .lookups = lookups };
	struct lookup * lookup;
	bool asked;

	for (lookup = lookups; lookup != NULL; lookup = lookup->next)
		lookup->asked = clock_now_ms();
	asked = exchange_lookups(set, &replies, deadline);
	if (asked && replies.missing)
		complain_of_missing(set);
	for (lookup = lookups; lookup != NULL; lookup = lookup->next) {
		if (!asked)
			lookup->answer = LOOKUP_NONE;
		else if (replies.missing)
			lookup->answer = LOOKUP_MISSING;
		if (lookup->answer == LOOKUP_YES)
			digest_cache_put(set->yes, lookup->identity.digest,
			    lookup->asked);
		if (lookup->answer == LOOKUP_NO) {
			digest_cache_remove(set->yes,
			    lookup->identity.digest);
			digest_cache_put(set->no, lookup->identity.digest,
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

/* Wake the requests that wait for these; the caller holds the lock. */
static void
wake_waiters(struct lookup * lookups)
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

/* Remove up to ${most} lookups from the queue; the caller holds the lock. */
static struct lookup *
take_lookups(struct token_set * set, size_t most)
{
	struct lookup * taken = set->first;
	struct lookup ** end = &set->first;
	size_t count;

	for (count = 0; *end != NULL && count < most; count++)
		end = &(*end)->next;
	set->first = *end;
	*end = NULL;
	if (set->first == NULL)
		set->end = &set->first;
	return (taken);
}

/* Let no request wait until Redis replies again; the caller holds the lock. */
static void
release_waiters(struct token_set * set, const char * why)
{

	if (!set->away)
		log_limited(&lookup_limit, LOG_LEVEL_WARNING, "tokens cannot "
		    "be looked up in Redis, and cached answers are used: %s",
		    why);
	set->away = true;
	wake_waiters(take_lookups(set, SIZE_MAX));
}

/* The caller holds the lock. */
static void
note_state(struct token_set * set, bool asked)
{

	if (!asked) {
		release_waiters(set, cluster_error(set->session.cluster));
		return;
	}
	if (set->away && log_ended(&lookup_limit))
		log_info("tokens can be looked up in Redis again");
	set->away = set->slow = false;
}

/* The caller holds the lock. */
static void
wait_for_lookup(struct token_set * set)
{

	if (set->away)
		thread_wait(&set->work, &set->lock,
		    cluster_next_attempt(set->session.cluster));
	else
		pthread_cond_wait(&set->work, &set->lock);
}

/* The thread: look up all tokens that wait, and wake their requests.  While
 * Redis is away, probe it each time that the next attempt is due. */
static void *
look_up_in_thread(void * context)
{
	struct token_set * set = context;
	struct lookup * lookups;
	bool asked;

	pthread_mutex_lock(&set->lock);
	while (!set->stopping) {
		if (set->first == NULL && !(set->away && clock_remaining(
		    cluster_next_attempt(set->session.cluster)) == 0)) {
			wait_for_lookup(set);
			continue;
		}
		lookups = take_lookups(set, BATCH_MAX);
		pthread_mutex_unlock(&set->lock);
		asked = look_up_all(set, lookups, clock_monotonic() +
		    TOKEN_SET_TIME_MAX);
		pthread_mutex_lock(&set->lock);
		wake_waiters(lookups);
		note_state(set, asked);
	}
	wake_waiters(take_lookups(set, SIZE_MAX));
	set->ended = true;
	pthread_cond_signal(&set->work);
	pthread_mutex_unlock(&set->lock);
	return (NULL);
}

/* Requests */


/* Have the thread look a token up; ${stale}: there is an old yes. */
static enum lookup_result
wait_for_answer(struct token_set * set, const struct identity * identity,
    bool stale)
{
	struct lookup * lookup = alloc_zeroed(1, sizeof(*lookup));
	int64_t deadline = clock_monotonic() +
	    (stale ? STALE_WAIT_MS : TOKEN_SET_TIME_MAX);
	enum lookup_result answer = LOOKUP_NONE;

	lookup->identity = *identity;
	thread_init_condition(&lookup->wake);
	pthread_mutex_lock(&set->lock);
	if (!set->away && !set->stopping &&
	    !(stale && set->slow)) {
		*set->end = lookup;
		set->end = &lookup->next;
		pthread_cond_signal(&set->work);
		thread_will_block();
		while (!lookup->answered &&
		    thread_wait(&lookup->wake, &set->lock, deadline))
			;
		answer = lookup->answered ? lookup->answer : LOOKUP_NONE;
		lookup->left = !lookup->answered;
	}
	if (!lookup->left)
		lookup_free(lookup);
	else if (stale)
		set->slow = true;
	else
		release_waiters(set, "no answer in time");
	pthread_mutex_unlock(&set->lock);
	return (answer);
}

static enum lookup_result
find_answer(struct token_set * set, const struct identity * identity,
    bool stale)
{
	struct lookup lookup = { .next = NULL };

	if (!set->settings.once)
		return (wait_for_answer(set, identity, stale));
	lookup.identity = *identity;
	look_up_all(set, &lookup, clock_monotonic() + TOKEN_SET_TIME_MAX);
	return (lookup.answer);
}

static enum token_verdict
count_verdict(const struct token_set * set, enum stats_counter counter,
    enum token_verdict verdict)
{

	stats_add(set->settings.stats, counter, 1);
	return (verdict);
}

static enum token_verdict
check_identity(struct token_set * set, const struct identity * identity)
{
	const unsigned char * digest = identity->digest;
	int64_t now = clock_now_ms();
	int64_t yes = digest_cache_find(set->yes, digest);
	int64_t no = digest_cache_find(set->no, digest);
	bool stale;

	if (yes != 0 && now >= yes && now - yes < set->settings.ttl)
		return (count_verdict(set, STATS_TOKENS_CACHED, TOKEN_GRANTED));
	if (no != 0 && now >= no && now - no < NO_MS)
		return (count_verdict(set, STATS_TOKENS_CACHED, TOKEN_UNKNOWN));
	/* After the clock was set back, the answer's time is in the future. */
	stale = yes != 0 && (now >= yes ? now - yes : yes - now) <
	    set->settings.stale;
	switch (find_answer(set, identity, stale)) {
	case LOOKUP_YES:
		return (count_verdict(set, STATS_TOKENS_ASKED, TOKEN_GRANTED));
	case LOOKUP_NO:
		return (count_verdict(set, STATS_TOKENS_ASKED, TOKEN_UNKNOWN));
	case LOOKUP_MISSING:
		break;
	case LOOKUP_NONE:
		if (stale)
			return (count_verdict(set, STATS_TOKENS_STALE,
			    TOKEN_GRANTED));
		break;
	}
	return (count_verdict(set, STATS_TOKENS_FAILED, TOKEN_UNAVAILABLE));
}

static void
identify_token(struct identity * identity, const char * token, size_t length,
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
token_set_check(struct token_set * set, const char * token, size_t length,
    enum token_kind kind, struct token_grant * grant)
{
	struct identity identity;
	enum token_verdict verdict;
	const char * environment;
	size_t size;

	/* Do not ask Redis about text that is not a token. */
	environment = token_file_environment(token, length, &size);
	if (environment == NULL)
		return (TOKEN_UNKNOWN);
	identify_token(&identity, token, length, kind);
	verdict = check_identity(set, &identity);
	if (verdict == TOKEN_GRANTED)
		token_file_grant(grant, environment, size);
	return (verdict);
}

enum token_set_state
token_set_state(struct token_set * set)
{
	static const struct identity nothing;
	int64_t since = clock_now_ms() - set->settings.stale;

	switch (find_answer(set, &nothing, false)) {
	case LOOKUP_YES:
	case LOOKUP_NO:
		return (TOKEN_SET_OK);
	case LOOKUP_NONE:
		if (digest_cache_latest(set->yes) > since)
			return (TOKEN_SET_STALE);
		break;
	case LOOKUP_MISSING:
		return (TOKEN_SET_MISSING);
	}
	return (TOKEN_SET_FAILED);
}

void
token_set_renew(struct token_set * set)
{

	if (set != NULL)
		digest_cache_renew(set->yes);
}

const char *
token_set_why(const struct token_set * set)
{

	return (cluster_error(set->session.cluster));
}

/* Start and stop */

static void
token_set_destroy(struct token_set * set)
{

	session_free(&set->session);
	digest_cache_close(set->yes);
	digest_cache_close(set->no);
	pthread_mutex_destroy(&set->lock);
	pthread_cond_destroy(&set->work);
	free(set);
}

struct token_set *
token_set_start(const struct token_set_settings * settings,
    struct cluster * cluster)
{
	struct token_set * set = alloc_zeroed(1, sizeof(*set));
	int error;

	set->settings = *settings;
	/* Without stats: redis_up is about counts, not tokens. */
	session_init(&set->session, cluster, NULL);
	set->end = &set->first;
	set->yes = digest_cache_open(settings->path,
	    DIGEST_CACHE_SHARED_SIZE);
	set->no = digest_cache_open(NULL, NO_SIZE);
	pthread_mutex_init(&set->lock, NULL);
	thread_init_condition(&set->work);
	if (settings->once)
		return (set);
	error = pthread_create(&set->thread, NULL, look_up_in_thread, set);
	if (error == 0)
		return (set);
	token_set_destroy(set);
	errno = error;
	return (NULL);
}

static bool
stop_thread(struct token_set * set, int64_t deadline)
{

	pthread_mutex_lock(&set->lock);
	set->stopping = true;
	pthread_cond_signal(&set->work);
	pthread_mutex_unlock(&set->lock);
	return (thread_join(set->thread, &set->work, &set->lock, &set->ended,
	    deadline));
}

bool
token_set_stop(struct token_set * set, int64_t deadline)
{

	if (set == NULL)
		return (true);
	if (!set->settings.once && !stop_thread(set, deadline))
		return (false);
	token_set_destroy(set);
	return (true);
}
