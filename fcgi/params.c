#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/fastcgi.h"
#include "fcgi/params.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"

/*
 * The records collected are in one buffer, which begins with BEGIN_REQUEST.  A
 * record that belongs to no request is removed as soon as it is complete, so a
 * flood of them takes no memory.
 */

#define BEGIN_SIZE 8
#define KEEP_CONNECTION 1
#define STATUS_UNKNOWN_ROLE 3
#define RECORD_MAX (FASTCGI_HEADER_SIZE + 65535 + 255)

/* Bytes to peek at before anything is collected: most requests' parameters are
 * smaller. */
#define PEEK_SIZE 8192

/* The most reads of one call, so that other connections get a turn. */
#define ROUNDS_MAX 16

/* Parameters in records of one byte take this many times their size. */
#define FRAMING_MAX 17

/*
 * The position in the name-value pairs.  They are checked because libfcgi
 * allocates the announced lengths before the bytes arrive, and old versions add
 * them up in an int.
 */
struct pairs {
	size_t skip;			/* Bytes left of a name and value. */
	unsigned char lengths[8];
	size_t have;			/* Bytes of lengths so far. */
};

struct params {
	int64_t since;
	size_t length;			/* Bytes collected, */
	size_t size;			/* and room for them. */
	size_t parsed;			/* Bytes of records parsed so far. */
	size_t parameters;		/* Bytes of parameters in them. */
	struct pairs pairs;
	bool begun;			/* A request has begun: */
	unsigned int request;		/* its number. */
	bool ended;			/* Its parameters are complete. */
	unsigned char * bytes;
};

struct record {
	unsigned int type;
	unsigned int request;
	const unsigned char * content;
	size_t length;			/* Of the content. */
	size_t total;			/* Bytes of the whole record. */
};

static void
read_header(struct record * record, const unsigned char * bytes)
{

	record->type = bytes[1];
	record->request = (unsigned int)bytes[2] << 8 | bytes[3];
	record->length = (size_t)bytes[4] << 8 | bytes[5];
	record->content = bytes + FASTCGI_HEADER_SIZE;
	record->total = FASTCGI_HEADER_SIZE + record->length + bytes[6];
}

/* Management records */

static bool
send_record(int descriptor, unsigned int type, unsigned int request,
    const void * content, size_t length)
{
	unsigned char bytes[FASTCGI_HEADER_SIZE + 256] = { FASTCGI_VERSION,
	    (unsigned char)type, (unsigned char)(request >> 8),
	    (unsigned char)request };
	size_t padding = (8 - length % 8) % 8;
	size_t total = FASTCGI_HEADER_SIZE + length + padding;

	bytes[5] = (unsigned char)length;
	bytes[6] = (unsigned char)padding;
	memcpy(bytes + FASTCGI_HEADER_SIZE, content, length);
	/* Never block on a peer that does not read our responses. */
	return (send(descriptor, bytes, total, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	    (ssize_t)total);
}

/* Lengths of names and values take one byte or four (section 3.4). */
static size_t
length_size(unsigned char first)
{

	return (first < 128 ? 1 : 4);
}

static size_t
length_of(const unsigned char * bytes)
{

	if (bytes[0] < 128)
		return (bytes[0]);
	return ((size_t)(bytes[0] & 127) << 24 | (size_t)bytes[1] << 16 |
	    (size_t)bytes[2] << 8 | bytes[3]);
}

/* Read the length of a name or value.  Return false if it is cut off. */
static bool
read_pair_length(const struct record * record, size_t * at, size_t * length)
{
	const unsigned char * bytes = record->content + *at;
	size_t left = record->length - *at;

	if (left == 0 || left < length_size(bytes[0]))
		return (false);
	*length = length_of(bytes);
	*at += length_size(bytes[0]);
	return (true);
}

/* Report the one variable that has a value: requests are not multiplexed. */
static bool
answer_values(int descriptor, const struct record * record)
{
	static const char name[] = "FCGI_MPXS_CONNS";
	static const char pair[] = "\017\001FCGI_MPXS_CONNS0";
	size_t at = 0;
	size_t name_length, value_length;
	bool asked = false;

	while (read_pair_length(record, &at, &name_length) &&
	    read_pair_length(record, &at, &value_length) &&
	    name_length <= record->length - at &&
	    value_length <= record->length - at - name_length) {
		asked = asked || (name_length == strlen(name) &&
		    memcmp(record->content + at, name, name_length) == 0);
		at += name_length + value_length;
	}
	return (send_record(descriptor, FASTCGI_GET_VALUES_RESULT, 0, pair,
	    asked ? strlen(pair) : 0));
}

static bool
answer_management(int descriptor, const struct record * record)
{
	unsigned char unknown[8] = { (unsigned char)record->type };

	if (record->type == FASTCGI_GET_VALUES)
		return (answer_values(descriptor, record));
	return (send_record(descriptor, FASTCGI_UNKNOWN_TYPE, 0, unknown,
	    sizeof(unknown)));
}

/* Parameters */

/* Pass over the next bytes.  Return false if they announce a pair that is
 * larger than the ${limit} of all parameters. */
static bool
pass_pairs(struct pairs * pairs, const unsigned char * bytes, size_t length,
    size_t limit)
{
	size_t first, part;

	while (length > 0) {
		part = length < pairs->skip ? length : pairs->skip;
		pairs->skip -= part;
		bytes += part;
		length -= part;
		if (length == 0)
			break;
		pairs->lengths[pairs->have++] = *bytes++;
		length--;
		first = length_size(pairs->lengths[0]);
		if (pairs->have <= first || pairs->have < first +
		    length_size(pairs->lengths[first]))
			continue;
		pairs->have = 0;
		pairs->skip = length_of(pairs->lengths) +
		    length_of(pairs->lengths + first);
		if (pairs->skip > limit)
			return (false);
	}
	return (true);
}

/* Records */

/* Remove the next record from the buffer. */
static void
remove_record(struct params * params, size_t total)
{

	params->length -= total;
	memmove(params->bytes + params->parsed, params->bytes + params->parsed +
	    total, params->length - params->parsed);
}

/* A request begins. */
static enum params_status
parse_begin(struct params * params, int descriptor,
    const struct record * record)
{
	static const unsigned char unknown[8] = {
	    [4] = STATUS_UNKNOWN_ROLE };
	unsigned int role;

	if (record->length != BEGIN_SIZE)
		return (PARAMS_CLOSED);
	if (params->length - params->parsed < record->total)
		return (PARAMS_MORE);
	role = (unsigned int)record->content[0] << 8 | record->content[1];
	if (role == FASTCGI_RESPONDER) {
		params->begun = true;
		params->request = record->request;
		params->parsed += record->total;
		return (PARAMS_MORE);
	}
	/* Its further records then belong to no request. */
	if (!send_record(descriptor, FASTCGI_END_REQUEST, record->request,
	    unknown, sizeof(unknown)) ||
	    (record->content[2] & KEEP_CONNECTION) == 0)
		return (PARAMS_CLOSED);
	remove_record(params, record->total);
	return (PARAMS_MORE);
}

/*
 * Parse the next record, which can be incomplete.  After PARAMS_MORE there may
 * be another one, if params->parsed or params->length has changed.
 */
static enum params_status
parse_record(struct params * params, int descriptor, size_t limit)
{
	size_t there = params->length - params->parsed;
	struct record record;

	read_header(&record, params->bytes + params->parsed);
	if (record.request == 0) {
		if (there < record.total)
			return (PARAMS_MORE);
		if (!answer_management(descriptor, &record))
			return (PARAMS_CLOSED);
		remove_record(params, record.total);
		return (PARAMS_MORE);
	}
	if (!params->begun && record.type != FASTCGI_BEGIN_REQUEST) {
		/* Of a request that has ended, or of none. */
		if (there >= record.total)
			remove_record(params, record.total);
		return (PARAMS_MORE);
	}
	if (!params->begun)
		return (parse_begin(params, descriptor, &record));
	if (record.request == params->request) {
		/* Leave records that are out of order to libfcgi. */
		if (record.type != FASTCGI_PARAMS)
			return (PARAMS_DONE);
		if (record.length == 0 && there < record.total)
			return (PARAMS_MORE);
		if (record.length == 0) {
			params->ended = true;
			params->parsed += record.total;
			return (PARAMS_DONE);
		}
		if (record.length > limit - params->parameters)
			return (PARAMS_TOO_LARGE);
	}
	if (there < record.total)
		return (PARAMS_MORE);
	if (record.type == FASTCGI_PARAMS &&
	    record.request == params->request) {
		if (!pass_pairs(&params->pairs, record.content, record.length,
		    limit))
			return (PARAMS_TOO_LARGE);
		params->parameters += record.length;
	}
	params->parsed += record.total;
	/* Too many tiny records, or records of other requests. */
	if (params->parsed / FRAMING_MAX > limit + RECORD_MAX)
		return (PARAMS_TOO_LARGE);
	return (PARAMS_MORE);
}

static enum params_status
parse_records(struct params * params, int descriptor, size_t limit)
{
	enum params_status status = PARAMS_MORE;
	size_t parsed, length;

	do {
		parsed = params->parsed;
		length = params->length;
		if (length > parsed && params->bytes[parsed] != FASTCGI_VERSION)
			return (PARAMS_CLOSED);
		if (length - parsed < FASTCGI_HEADER_SIZE)
			return (PARAMS_MORE);
		status = parse_record(params, descriptor, limit);
	} while (status == PARAMS_MORE && (params->parsed != parsed ||
	    params->length != length));
	return (status);
}

/* Return the number of bytes received, 0 at the end or after an error, and -1
 * if none are available now. */
static ssize_t
receive(int descriptor, void * bytes, size_t size, int flags)
{
	ssize_t count = recv(descriptor, bytes, size, flags | MSG_DONTWAIT);

	return (count == -1 && errno != EAGAIN ? 0 : count);
}

/* Remove ${length} bytes, which were peeked at, from the socket. */
static bool
consume(int descriptor, size_t length)
{
	unsigned char bytes[PEEK_SIZE];
	ssize_t count = receive(descriptor, bytes, length, 0);

	digest_wipe(bytes, length);
	return (count == (ssize_t)length);
}

/* Return whether the request has arrived up to the end of its body. */
static bool
is_whole(const struct params * params)
{
	size_t at = params->parsed;
	struct record record;

	while (params->ended && params->length - at >= FASTCGI_HEADER_SIZE) {
		read_header(&record, params->bytes + at);
		if (record.total > params->length - at)
			break;
		if (record.type == FASTCGI_STDIN && record.length == 0 &&
		    record.request == params->request)
			return (true);
		at += record.total;
	}
	return (false);
}

/*
 * Parse the ${count} bytes in ${bytes} that were peeked at.  If they have to be
 * collected, copy them to ${kept} and remove them from the socket.
 */
static enum params_status
examine(unsigned char * bytes, ssize_t count, struct params ** kept,
    int descriptor, size_t limit, bool * drained)
{
	struct params params = { .since = clock_monotonic(), .bytes = bytes };
	enum params_status status;
	size_t taken;

	*drained = count == -1;
	if (count <= 0)
		return (count == 0 ? PARAMS_CLOSED : PARAMS_MORE);
	params.length = (size_t)count;
	status = parse_records(&params, descriptor, limit);
	taken = (size_t)count - params.length;
	if (status == PARAMS_DONE && taken == 0)
		return (is_whole(&params) ? PARAMS_DONE_WITH_BODY :
		    PARAMS_DONE);
	if (status == PARAMS_CLOSED)
		return (status);
	/* Leave the body in the socket. */
	if (status == PARAMS_DONE)
		params.length = params.parsed;
	if (!consume(descriptor, taken + params.length))
		return (PARAMS_CLOSED);
	if (params.length == 0)
		return (PARAMS_MORE);
	*kept = alloc_bytes(sizeof(**kept));
	**kept = params;
	(*kept)->size = params.length;
	(*kept)->bytes = alloc_bytes(params.length);
	memcpy((*kept)->bytes, bytes, params.length);
	*drained = false;
	return (status);
}

/* Read the first bytes of a request. */
static enum params_status
read_first(struct params ** kept, int descriptor, size_t limit, bool * drained)
{
	unsigned char bytes[PEEK_SIZE];
	ssize_t count = receive(descriptor, bytes, sizeof(bytes), MSG_PEEK);
	enum params_status status = examine(bytes, count, kept, descriptor,
	    limit, drained);

	/* There is a token in most parameters. */
	if (count > 0)
		digest_wipe(bytes, (size_t)count);
	return (status);
}

/* Make room for ${length} more bytes, and wipe the old buffer. */
static void
grow(struct params * params, size_t length)
{
	unsigned char * old = params->bytes;

	if (params->size - params->length >= length)
		return;
	params->size = params->length + length + params->length / 2;
	params->bytes = alloc_bytes(params->size);
	memcpy(params->bytes, old, params->length);
	digest_wipe(old, params->length);
	free(old);
}

/*
 * Return how many bytes to read next: up to the end of a record, or of its
 * header, so that the body stays in the socket.
 */
static size_t
bytes_to_read(const struct params * params)
{
	size_t there = params->length - params->parsed;
	struct record record;

	if (there < FASTCGI_HEADER_SIZE)
		return (FASTCGI_HEADER_SIZE - there);
	read_header(&record, params->bytes + params->parsed);
	return (record.total - there);
}

static enum params_status
read_more(struct params * params, int descriptor, size_t limit, bool * drained)
{
	size_t length = bytes_to_read(params);
	ssize_t count;

	/* Allocate no more than arrives: announced bytes may never arrive. */
	if (length > PEEK_SIZE)
		length = PEEK_SIZE;
	grow(params, length);
	count = receive(descriptor, params->bytes + params->length, length, 0);
	*drained = count == -1;
	if (count <= 0)
		return (count == 0 ? PARAMS_CLOSED : PARAMS_MORE);
	params->length += (size_t)count;
	return (parse_records(params, descriptor, limit));
}

enum params_status
params_read(struct params ** params, int descriptor, size_t limit)
{
	enum params_status status;
	bool drained;
	int rounds = 0;

	do {
		status = *params == NULL ?
		    read_first(params, descriptor, limit, &drained) :
		    read_more(*params, descriptor, limit, &drained);
		if (*params != NULL && (*params)->length == 0) {
			params_free(*params);
			*params = NULL;
		}
	} while (status == PARAMS_MORE && !drained && ++rounds < ROUNDS_MAX);
	return (status);
}

int64_t
params_since(const struct params * params)
{

	return (params->since);
}

size_t
params_size(const struct params * params)
{

	return (params == NULL ? 0 : sizeof(*params) + params->size);
}

/* Write a valid request without parameters. */
static size_t
write_empty(unsigned char bytes[3 * FASTCGI_HEADER_SIZE], unsigned int request)
{
	unsigned char * end = bytes + FASTCGI_HEADER_SIZE + BEGIN_SIZE;

	memset(bytes, 0, 3 * FASTCGI_HEADER_SIZE);
	bytes[0] = end[0] = FASTCGI_VERSION;
	bytes[1] = FASTCGI_BEGIN_REQUEST;
	end[1] = FASTCGI_PARAMS;
	bytes[2] = end[2] = (unsigned char)(request >> 8);
	bytes[3] = end[3] = (unsigned char)request;
	bytes[5] = BEGIN_SIZE;
	bytes[9] = 1;			/* The role of a responder. */
	return (3 * FASTCGI_HEADER_SIZE);
}

int
params_file(const struct params * params, bool large)
{
	unsigned char empty[3 * FASTCGI_HEADER_SIZE];
	const unsigned char * bytes = large ? empty : params->bytes;
	size_t length = large ? write_empty(empty, params->request) :
	    params->length;
	int descriptor = memfd_create("params", MFD_CLOEXEC);

	if (descriptor == -1)
		return (-1);
	if (pwrite(descriptor, bytes, length, 0) == (ssize_t)length)
		return (descriptor);
	close(descriptor);
	return (-1);
}

void
params_free(struct params * params)
{

	if (params == NULL)
		return;
	digest_wipe(params->bytes, params->size);
	free(params->bytes);
	free(params);
}
