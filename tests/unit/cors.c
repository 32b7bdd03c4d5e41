#include "fcgi/cors.h"
#include "tests/unit/tap.h"

/* The headers of answers to requests from other origins. */

#define LISTED "https://a.example, http://[::1]:80\thttps://b.example"

#define PREFLIGHT "Access-Control-Allow-Methods: POST\r\n"		\
    "Access-Control-Max-Age: 86400\r\n"				\
    "Vary: Origin, Access-Control-Request-Headers\r\n"
#define ANY "Access-Control-Allow-Origin: *\r\n"
#define ONE(origin) "Access-Control-Allow-Origin: " origin "\r\n"	\
    "Access-Control-Allow-Credentials: true\r\n"
#define ECHO(names) "Access-Control-Allow-Headers: " names "\r\n"

static const struct {
	const char * origins;		/* NULL: the path has no cors. */
	const char * origin;
	const char * requested;
	bool preflight;
	const char * wanted;
} rows[] = {
	{ NULL, "https://a.example", "a", true, "" },
	{ NULL, "https://a.example", NULL, false, "" },
	{ "*", NULL, NULL, false, ANY "Vary: Origin\r\n" },
	{ "*", "https://x", NULL, false, ANY "Vary: Origin\r\n" },
	{ "*", "https://x", NULL, true, ANY PREFLIGHT },
	{ "*", "https://x", "", true, ANY PREFLIGHT },
	{ "*", "https://x", "authorization,content-type,unleash-sdk", true,
	  ANY ECHO("authorization,content-type,unleash-sdk") PREFLIGHT },
	{ "*", "https://x", "X-Any, *", true, ANY ECHO("X-Any, *") PREFLIGHT },
	{ "*", "https://x", "a\r\nSet-Cookie: b", true, ANY PREFLIGHT },
	{ "*", "https://x", "a: b", true, ANY PREFLIGHT },
	{ "*", "https://x", "\xc3\xa4", true, ANY PREFLIGHT },
	{ LISTED, "https://a.example", NULL, false,
	  ONE("https://a.example") "Vary: Origin\r\n" },
	{ LISTED, "https://b.example", "a", true,
	  ONE("https://b.example") ECHO("a") PREFLIGHT },
	{ LISTED, "http://[::1]:80", NULL, true,
	  ONE("http://[::1]:80") PREFLIGHT },
	{ LISTED, "HTTPS://A.EXAMPLE", NULL, false,
	  ONE("https://a.example") "Vary: Origin\r\n" },
	{ LISTED, "https://a.example.evil", NULL, false, "Vary: Origin\r\n" },
	{ LISTED, "https://a.exampl", NULL, false, "Vary: Origin\r\n" },
	{ LISTED, "a.example", NULL, false, "Vary: Origin\r\n" },
	{ LISTED, "https://a.example, http://[::1]:80", NULL, false,
	  "Vary: Origin\r\n" },
	{ LISTED, "null", NULL, true, PREFLIGHT },
	{ LISTED, "", NULL, false, "Vary: Origin\r\n" },
	{ LISTED, NULL, "a", true, ECHO("a") PREFLIGHT },
	{ "", "https://a.example", NULL, false, "Vary: Origin\r\n" },
	{ " ,", "", NULL, false, "Vary: Origin\r\n" },
};

static void
set_variable(const char * name, const char * value)
{

	if (value == NULL)
		unsetenv(name);
	else
		setenv(name, value, 1);
}

static void
test_headers(void)
{
	char out[CORS_HEADERS_MAX];
	size_t i, length;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cors cors = { .origins = rows[i].origins };
		struct cgi cgi = { .fcgi = NULL,
		    .cors = rows[i].origins == NULL ? NULL : &cors };

		set_variable("HTTP_ORIGIN", rows[i].origin);
		set_variable("HTTP_ACCESS_CONTROL_REQUEST_HEADERS",
		    rows[i].requested);
		length = cors_headers(&cgi, rows[i].preflight, out);
		is_text(out, rows[i].wanted, "row %zu", i);
		is_integer(length, strlen(out), "row %zu: the length", i);
	}
}

/* The longest that is echoed fits, and one more byte is not echoed. */
static void
test_long(void)
{
	char origins[600] = "https://";
	char requested[1026];
	char out[CORS_HEADERS_MAX];
	struct cors cors = { .origins = origins };
	struct cgi cgi = { .fcgi = NULL, .cors = &cors };

	memset(origins + 8, 'o', 512 - 8);
	memset(requested, 'r', 1025);
	requested[1024] = requested[1025] = '\0';
	set_variable("HTTP_ORIGIN", origins);
	set_variable("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", requested);
	cors_headers(&cgi, true, out);
	ok(strstr(out, origins) != NULL, "a long origin");
	ok(strstr(out, requested) != NULL, "many headers");
	ok(strstr(out, "\r\n" PREFLIGHT) != NULL, "and all else after them");
	origins[512] = 'o';
	requested[1024] = 'r';
	set_variable("HTTP_ORIGIN", origins);
	set_variable("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", requested);
	cors_headers(&cgi, true, out);
	is_text(out, PREFLIGHT, "what is longer is not echoed");
}

int
main(void)
{

	test_headers();
	test_long();
	return (tap_done());
}
