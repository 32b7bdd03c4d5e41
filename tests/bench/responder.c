#include <fcgiapp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/bare_yajl.h"

/*
 * What flagtally is held against: as many threads around the same libfcgi,
 * which read the body and throw it away, or also run it through bare yajl with
 * callbacks that do nothing, and answer 202.
 *
 * usage: responder null|yajl SOCKET THREADS
 */
#define PIECE_SIZE 8192
#define STACK_SIZE ((size_t)256 * 1024)

static bool parses;
static int listening;

static void
fail(const char * what)
{

	perror(what);
	exit(1);
}

/* Return whether the body was what it was to be. */
static bool
read_body(FCGX_Stream * in)
{
	yajl_handle yajl = parses ? yajl_alloc(&bare_yajl, NULL, NULL) : NULL;
	char piece[PIECE_SIZE];
	bool good = true;
	int count;

	while ((count = FCGX_GetStr(piece, sizeof(piece), in)) > 0)
		if (yajl != NULL)
			good = yajl_parse(yajl, (unsigned char *)piece,
			    (size_t)count) == yajl_status_ok && good;
	if (yajl != NULL) {
		good = yajl_complete_parse(yajl) == yajl_status_ok && good;
		yajl_free(yajl);
	}
	return (good);
}

static void *
serve(void * context)
{
	FCGX_Request request;

	(void)context;
	FCGX_InitRequest(&request, listening, 0);
	while (FCGX_Accept_r(&request) == 0) {
		if (read_body(request.in))
			FCGX_PutS("Status: 202 Accepted\r\nContent-Type: "
			    "application/json\r\nContent-Length: 2\r\n\r\n{}",
			    request.out);
		else
			FCGX_PutS("Status: 400 Bad Request\r\n\r\n",
			    request.out);
		FCGX_Finish_r(&request);
	}
	return (NULL);
}

static void
listen_at(const char * path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		fail(path);
	strcpy(address.sun_path, path);
	listening = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listening == -1 || bind(listening, (struct sockaddr *)&address,
	    sizeof(address)) != 0 || listen(listening, 1024) != 0)
		fail(path);
}

int
main(int argc, char ** argv)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int i;

	if (argc != 4) {
		fprintf(stderr, "usage: responder null|yajl SOCKET THREADS\n");
		return (64);
	}
	parses = strcmp(argv[1], "yajl") == 0;
	listen_at(argv[2]);
	if (FCGX_Init() != 0)
		fail("FCGX_Init");
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	for (i = 0; i < atoi(argv[3]); i++)
		if (pthread_create(&thread, &attributes, serve, NULL) != 0)
			fail("pthread_create");
	pthread_attr_destroy(&attributes);
	for (;;)
		pause();
}
