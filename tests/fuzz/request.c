#include <fcgiapp.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/params.h"
#include "fcgi/job.h"
#include "fcgi/route.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"
#include "lib/body/edge_data.h"
#include "tests/fuzz/memory.h"

/*
 * A request over FastCGI, as in the server, from its records to its answer: the
 * head is waited for, libfcgi reads, and it is answered.  It is tried at once
 * and in pieces, and the answer must be the same.  The input is the records
 * themselves, or what goes into them: lines NAME=value, an empty line, and the
 * body.  Nothing is committed.
 */
#define TOKENS_NUMBER 903

/* Of the parameters, and of what a head may then take. */
#define PARAMS_LIMIT ((size_t)2000)
#define HEAD_BOUND ((size_t)17 * 2 * (2000 + 66000))

enum record { BEGIN = 1, ABORT = 2, PARAMS = 4, STDIN = 5 };

static unsigned int committed;

/* Stands in for the committer, which has the ticket then. */
void
commit_submit(struct committer * committer, struct commit_ticket * ticket,
    int64_t spent)
{

	(void)committer;
	must(spent >= 0);
	must(!tally_empty(ticket->tally));
	committed++;
	ticket->result = committed % 16 == 0 ? COMMIT_UNAVAILABLE :
	    COMMIT_DURABLE;
	ticket->why = "no reason";
}

/* Stands in for Redis, which keeps an Edge's data. */
bool
edges_put(struct edges * edges, const char * environment,
    const struct text * identifier, const struct text * members,
    int64_t deadline)
{

	(void)edges;
	must(environment != NULL);
	must(deadline > 0);
	must(identifier->length > 0 &&
	    identifier->length <= EDGE_DATA_NAME_MAX);
	must(members->length > 0 && memchr(members->bytes, '}',
	    members->length) != NULL);
	committed++;
	return (committed % 2 == 0);
}

static void
look(void * context, bool tries, struct backstage_state * state)
{

	(void)context;
	(void)tries;
	state->spool = BACKSTAGE_SPOOL_OK;
	state->has_depth = true;
	state->depth[SPOOL_QUEUED].records = 1;
}

static void
add_record(struct buffer * out, enum record type, const void * bytes,
    size_t length)
{
	uint8_t head[8] = { 1, (uint8_t)type, 0, 1, (uint8_t)(length >> 8),
	    (uint8_t)length, 0, 0 };

	buffer_append(out, head, sizeof(head));
	buffer_append(out, bytes, length);
}

static void
add_length(struct buffer * out, size_t length)
{
	uint8_t bytes[4] = { (uint8_t)(length >> 24 | 0x80),
	    (uint8_t)(length >> 16), (uint8_t)(length >> 8),
	    (uint8_t)length };

	if (length < 0x80)
		buffer_append(out, &bytes[3], 1);
	else
		buffer_append(out, bytes, sizeof(bytes));
}

static void
add_pair(struct buffer * out, const char * line, size_t length)
{
	const char * equals = memchr(line, '=', length);
	size_t name = equals == NULL ? length : (size_t)(equals - line);
	size_t value = equals == NULL ? 0 : length - name - 1;

	add_length(out, name);
	add_length(out, value);
	buffer_append(out, line, name);
	buffer_append(out, line + length - value, value);
}

static void
add_stream(struct buffer * out, enum record type, const char * bytes,
    size_t length, size_t most)
{
	size_t at, size;

	for (at = 0; at < length; at += size) {
		size = length - at < most ? length - at : most;
		add_record(out, type, bytes + at, size);
	}
}

static void
make_records(struct buffer * out, struct fuzz * fuzz)
{
	static const char responder[8] = { 0, 1, 1 };
	unsigned int choices = fuzz_byte(fuzz);
	size_t most = 1 + fuzz_byte(fuzz) * 4;
	const char * text = (const char *)fuzz->bytes;
	const char * end = text + fuzz->length;
	struct buffer pairs = { NULL, 0, 0 };

	add_record(out, BEGIN, responder, sizeof(responder));
	/* The usual ones need not be found. */
	if ((choices & 1) != 0) {
		add_pair(&pairs, "REQUEST_METHOD=POST", 19);
		add_pair(&pairs, "CONTENT_TYPE=application/json", 29);
	}
	if ((choices & 2) != 0)
		add_pair(&pairs, "HTTP_AUTHORIZATION=*:production.s", 33);
	if ((choices & 4) != 0)
		add_pair(&pairs, "REQUEST_URI=/api/client/metrics/bulk", 36);
	while (text < end && *text != '\n') {
		const char * stop = memchr(text, '\n', (size_t)(end - text));

		if (stop == NULL)
			stop = end;
		add_pair(&pairs, text, (size_t)(stop - text));
		text = stop + (stop < end);
	}
	text += text < end;
	add_stream(out, PARAMS, pairs.bytes, pairs.length, most);
	add_record(out, PARAMS, NULL, 0);
	add_stream(out, STDIN, text, (size_t)(end - text), most);
	if ((choices & 8) == 0)
		add_record(out, STDIN, NULL, 0);
	else if ((choices & 16) != 0)
		add_record(out, ABORT, NULL, 0);
	buffer_free(&pairs);
}

static const struct service *
service(void)
{
	static char nowhere[] = "/nonexistent/redis.sock";
	static const struct redis_address redis = { .unix_path = nowhere };
	static struct page page = { .access = CONFIG_ACCESS_LOCAL,
	    .prefix = "flagtally", .redis = &redis };
	static struct service service = {
		.page = &page,
		.path_prefix = "",
		.default_environment = "default",
		.cors = { .origins = "https://app.example, http://b.example" },
		.body = { .validate = { .limit_depth = 64, .element = {
		    .limit_name = 4096, .limit_counters = 1000,
		    .by_hour = true } },
		    .limit_body = 60000, .limit_inflated = 100000 },
		.backstage = { .access = CONFIG_ACCESS_LOCAL, .version = "0",
		    .probe = look },
	};
	static const char tokens[] = "*:production.s\n"
	    "a:b.frontend type=frontend\n*:*.all\n";

	if (service.auth.tokens != NULL)
		return (&service);
	must(digest_init() == 0);
	log_set_level(LOG_LEVEL_ERROR);
	/* libfcgi would wait for us to close our end. */
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 1);
	must(FCGX_Init() == 0);
	memory_file(TOKENS_NUMBER, tokens, sizeof(tokens) - 1);
	service.auth.tokens = token_file_open("/proc/self/fd/903");
	service.repeats = repeats_open(NULL);
	service.auth.variable = auth_variable("Authorization");
	return (&service);
}

/* Three digits after "Status: ", in the stream of records. */
static int
status_of(const char * bytes, size_t length)
{
	static const char word[] = "Status: ";
	size_t i;

	for (i = 0; i + sizeof(word) + 2 < length; i++)
		if (memcmp(bytes + i, word, sizeof(word) - 1) == 0)
			return (atoi(bytes + i + sizeof(word) - 1));
	return (0);
}

/*
 * Let the head arrive as the server does, a piece after the other.  All that
 * was sent has been sent when this returns.
 */
static enum params_status
receive_head(struct params ** head, const int pair[2],
    const struct buffer * records, size_t piece)
{
	enum params_status status = PARAMS_MORE;
	size_t at = 0, length;
	unsigned int visits = 0;

	while (at < records->length || status == PARAMS_MORE) {
		/* Nobody reads in between once the head is there. */
		length = records->length - at < piece ||
		    status != PARAMS_MORE ? records->length - at : piece;
		must(length == 0 || send(pair[0], records->bytes + at, length,
		    MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length);
		at += length;
		if (at == records->length)
			shutdown(pair[0], SHUT_WR);
		if (status == PARAMS_MORE)
			status = params_read(head, pair[1], PARAMS_LIMIT);
		must(params_size(*head) <= HEAD_BOUND);
		/* With the end of all, it comes to one. */
		must(++visits < 2 * records->length + 100);
	}
	return (status);
}

/* Return the status that was answered, 0 for none. */
static int
serve(int descriptor, struct params * head, bool large, bool * failed)
{
	static struct job job;
	struct cgi * exchange = &job.request.cgi;
	bool collected = head != NULL;

	if (job.fcgi == NULL)
		job_init(&job);
	if (!job_begin(&job, descriptor, head, large, 30000)) {
		/* Else it was closed with what made no sense. */
		if (collected)
			close(descriptor);
		return (0);
	}
	if (large)
		request_refuse(service(), exchange, "too large");
	else if (!request_serve(service(), &job.request))
		request_conclude(service(), &job.request);
	must(exchange->status >= 200 && exchange->status < 600);
	must(!large || exchange->status == 413);
	job_end(&job);
	close(descriptor);
	*failed = exchange->failed;
	return (exchange->status);
}

/* Return the status that was answered, 0 for none. */
static int
try_records(const struct buffer * records, size_t piece)
{
	struct params * head = NULL;
	enum params_status status;
	char answer[32768];
	bool failed = false;
	int answered = 0;
	ssize_t count;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	status = receive_head(&head, pair, records, piece);
	if (status == PARAMS_CLOSED) {
		close(pair[1]);
		params_free(head);
	} else
		answered = serve(pair[1], head, status == PARAMS_TOO_LARGE, &failed);
	count = recv(pair[0], answer, sizeof(answer), MSG_DONTWAIT);
	if (answered != 0 && !failed)
		must(count > 0 && status_of(answer, (size_t)count) ==
		    answered);
	close(pair[0]);
	return (answered);
}

int
LLVMFuzzerTestOneInput(const uint8_t * bytes, size_t length)
{
	struct fuzz fuzz = { bytes, length };
	struct buffer records = { NULL, 0, 0 };
	size_t piece;
	int status;

	if (length > 8192)
		return (0);
	service();
	piece = fuzz_byte(&fuzz);
	if ((piece & 1) != 0)
		make_records(&records, &fuzz);
	else
		buffer_append(&records, fuzz.bytes, fuzz.length);
	if (records.length > 0) {
		/* What is committed may be refused, and each time anew. */
		committed = 0;
		status = try_records(&records, SIZE_MAX);
		committed = 0;
		must(try_records(&records, 2 + piece * 4) == status);
	}
	buffer_free(&records);
	return (0);
}
