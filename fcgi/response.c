#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/cors.h"
#include "fcgi/response.h"
#include "lib/base/digest.h"
#include "lib/base/escape.h"

/* The names are those that the Unleash server sends. */
static const struct {
	int status;
	const char * reason;
	const char * name;
	const char * header;
} answers[] = {
	[RESPONSE_OK] = { 200, "OK", "", "" },
	[RESPONSE_ACCEPTED] = { 202, "Accepted", "", "" },
	[RESPONSE_TAKEN] = { 202, "Accepted", "", "" },
	[RESPONSE_TAKEN_OK] = { 200, "OK", "", "" },
	[RESPONSE_PREFLIGHT] = { 204, "No Content", "", "" },
	[RESPONSE_INVALID] = { 400, "Bad Request", "BadDataError", "" },
	[RESPONSE_NO_ACCESS] = { 403, "Forbidden", "NoAccessError", "" },
	[RESPONSE_NOT_FOUND] = { 404, "Not Found", "NotFoundError", "" },
	[RESPONSE_WRONG_METHOD] = { 405, "Method Not Allowed",
	    "MethodNotAllowedError", "Allow: POST\r\n" },
	[RESPONSE_READ_ONLY] = { 405, "Method Not Allowed",
	    "MethodNotAllowedError", "Allow: GET, HEAD\r\n" },
	[RESPONSE_TOO_LARGE] = { 413, "Content Too Large",
	    "ContentTooLargeError", "" },
	[RESPONSE_WRONG_TYPE] = { 415, "Unsupported Media Type",
	    "ContentTypeError", "" },
	[RESPONSE_UNAVAILABLE] = { 503, "Service Unavailable",
	    "UnavailableError", "Retry-After: 10\r\n" },
};

/* Room for texts as JSON strings with a NUL, and for a problem with them. */
#define DETAIL_ROOM (ESCAPE_JSON_ROOM(FAULT_DETAIL_MAX) + 1)
#define POINTER_ROOM (ESCAPE_JSON_ROOM(FAULT_POINTER_MAX) + 1)
#define PROBLEM_ROOM (DETAIL_ROOM * 4 + POINTER_ROOM * 2 + 512)


/* RFC 3875, section 4.3.3: HEAD has the same headers, and no content. */
static bool
wants_head_alone(const struct cgi * cgi)
{
	const char * method = cgi_parameter(cgi, "REQUEST_METHOD");

	return (method != NULL && strcmp(method, "HEAD") == 0);
}

void
response_content(struct cgi * cgi, enum response_kind kind,
    const char * type, const void * content, size_t length)
{
	char headers[512 + CORS_HEADERS_MAX];
	char cors[CORS_HEADERS_MAX];
	char described[128] = "";
	int used;

	cors_headers(cgi, kind == RESPONSE_PREFLIGHT, cors);
	if (type != NULL)
		snprintf(described, sizeof(described),
		    "Content-Type: %s\r\n", type);
	/* RFC 9110, section 8.6: a 204 has no Content-Length. */
	if (kind != RESPONSE_PREFLIGHT)
		snprintf(described + strlen(described), sizeof(described) -
		    strlen(described), "Content-Length: %zu\r\n", length);
	used = snprintf(headers, sizeof(headers),
	    "Status: %d %s\r\n%sCache-Control: no-store\r\n%s%s\r\n",
	    answers[kind].status, answers[kind].reason, described,
	    answers[kind].header, cors);
	if (used < 0 || (size_t)used >= sizeof(headers))
		abort();
	cgi->status = answers[kind].status;
	if (cgi_write(cgi, headers, (size_t)used) == 0 &&
	    !wants_head_alone(cgi))
		cgi_write(cgi, content, length);
}

void
response_page(struct cgi * cgi, const char * type, const char * headers,
    const void * content, size_t length)
{
	const char * known = cgi_parameter(cgi, "HTTP_IF_NONE_MATCH");
	unsigned char digest[DIGEST_SIZE];
	char tag[2 * DIGEST_SIZE + 1];
	char head[1024];
	bool same;
	int used;

	digest_sha256(content, length, digest);
	digest_hex(tag, digest, sizeof(digest));
	/* A strong comparison would not do more: the tag is a hash. */
	same = known != NULL && strstr(known, tag) != NULL;
	cgi->status = same ? 304 : 200;
	used = snprintf(head, sizeof(head), "Status: %s\r\n"
	    "ETag: \"%s\"\r\nCache-Control: private, no-cache\r\n"
	    "Vary: Authorization\r\n%s", same ? "304 Not Modified" : "200 OK",
	    tag, headers);
	if (!same && used > 0 && (size_t)used < sizeof(head))
		used += snprintf(head + used, sizeof(head) - (size_t)used,
		    "Content-Type: %s\r\nContent-Length: %zu\r\n", type,
		    length);
	if (used < 0 || (size_t)used + 2 >= sizeof(head))
		abort();
	memcpy(head + used, "\r\n", 2);
	if (cgi_write(cgi, head, (size_t)used + 2) == 0 && !same &&
	    !wants_head_alone(cgi))
		cgi_write(cgi, content, length);
}


/* A random UUID (RFC 9562, section 5.4), to search logs for. */
static void
make_id(char out[37])
{
	unsigned char random[16];
	char hex[33];

	digest_random(random, sizeof(random));
	random[6] = (unsigned char)((random[6] & 0x0f) | 0x40);
	random[8] = (unsigned char)((random[8] & 0x3f) | 0x80);
	digest_hex(hex, random, sizeof(random));
	snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
	    hex + 12, hex + 16, hex + 20);
}

/*
 * application/problem+json (RFC 9457), with further members that Unleash Edge
 * reads from a 400 and logs: id, name, message, details.
 */
static void
send_problem(struct cgi * cgi, enum response_kind kind,
    const char * detail, const struct fault * place)
{
	char text[PROBLEM_ROOM], quoted[DETAIL_ROOM], pointer[POINTER_ROOM];
	char at[POINTER_ROOM + 64] = "";
	const char * path = place == NULL ? "" : place->pointer;
	char id[37];
	int length;

	make_id(id);
	quoted[escape_json_ascii(quoted, detail, strlen(detail))] = '\0';
	pointer[escape_json_ascii(pointer, path, strlen(path))] = '\0';
	if (place != NULL)
		snprintf(at, sizeof(at), ",\"pointer\":%s,\"offset\":%" PRIu64,
		    pointer, place->offset);
	length = snprintf(text, sizeof(text), "{\"type\":\"about:blank\","
	    "\"title\":\"%s\",\"status\":%d,\"detail\":%s%s,\"id\":\"%s\","
	    "\"name\":\"%s\",\"message\":%s,\"details\":[{\"message\":%s,"
	    "\"description\":%s,\"path\":%s}]}", answers[kind].reason,
	    answers[kind].status, quoted, at, id, answers[kind].name, quoted,
	    quoted, quoted, pointer);
	if (length < 0 || (size_t)length >= sizeof(text))
		abort();
	response_content(cgi, kind, "application/problem+json", text,
	    (size_t)length);
}

void
response_send(struct cgi * cgi, enum response_kind kind,
    const char * detail)
{

	switch (kind) {
	case RESPONSE_ACCEPTED:
		response_content(cgi, kind, "application/json", "{}", 2);
		break;
	case RESPONSE_TAKEN:
	case RESPONSE_PREFLIGHT:
		response_content(cgi, kind, NULL, "", 0);
		break;
	case RESPONSE_TAKEN_OK:
		response_content(cgi, kind, "text/plain", "OK", 2);
		break;
	default:
		send_problem(cgi, kind, detail, NULL);
	}
}

void
response_fault(struct cgi * cgi, const struct fault * fault)
{

	send_problem(cgi, fault->code == FAULT_TOO_LARGE ?
	    RESPONSE_TOO_LARGE : RESPONSE_INVALID, fault->detail, fault);
}
