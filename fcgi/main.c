#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/listen.h"
#include "fcgi/request.h"
#include "fcgi/server.h"
#include "lib/clock.h"
#include "lib/commit.h"
#include "lib/config.h"
#include "lib/digest.h"
#include "lib/log.h"
#include "lib/redis.h"
#include "lib/sink.h"
#include "lib/token.h"

/* From a signal to the end, in milliseconds: Apache kills after 3 s. */
#define STOP_TIME_MAX 1900

/* Exit status for a wrong command line or configuration (sysexits.h). */
#define EXIT_USAGE 64
#define EXIT_CONFIGURATION 78

struct options {
	const char * config;
	bool check;
};

/* All parts of the program. */
struct program {
	struct config * config;
	struct sink_settings sink;
	struct service service;
	struct listen listen;
};

static void
usage(FILE * file)
{

	fputs("usage: flagtally [--config FILE] [--check-config]\n"
	    "       flagtally --version | --help\n"
	    "\n"
	    "Takes metrics of feature flags over FastCGI or as a CGI program "
	    "and counts\nthem in Redis.  It is started by a web server, or "
	    "listens by itself\n(listen = PATH or HOST:PORT).\n"
	    "\n"
	    "  --config FILE   read the configuration from FILE\n"
	    "  --check-config  print the configuration in force, and where "
	    "each value is\n                  from; status 78 if anything is "
	    "wrong with it\n"
	    "  --version       print the version\n"
	    "  --help          print this text\n", file);
}

/* Read the command line; return -1 to go on, or a status to exit with. */
static int
read_options(struct options * options, int argc, char ** argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'k' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 'k':
			options->check = true;
			break;
		case 'v':
			puts("flagtally " PACKAGE_VERSION);
			return (EXIT_SUCCESS);
		case 'h':
			usage(stdout);
			return (EXIT_SUCCESS);
		default:
			usage(stderr);
			return (EXIT_USAGE);
		}
	if (optind < argc) {
		usage(stderr);
		return (EXIT_USAGE);
	}
	return (-1);
}

static struct config *
load_config(const char * path)
{
	struct config_error error;
	struct config * config;
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[length > 0 ? length : 0] = '\0';
	config = config_load(path, self, environ, &error);
	if (config == NULL)
		log_error("%s", error.text);
	return (config);
}

/* Seconds of a duration; what is not 0 stays so. */
static int64_t
seconds(uint64_t milliseconds)
{

	return ((int64_t)(milliseconds / 1000));
}

static void
settle(struct program * program)
{
	const struct config * config = program->config;
	struct service * service = &program->service;
	struct element_settings * element = &service->body.batch.element;

	program->sink = (struct sink_settings){
		.prefix = config->prefix,
		.retention_hour = seconds(config->retention_hour),
		.retention_day = seconds(config->retention_day),
		.limit_features = config->limit_features,
		.limit_applications = config->limit_apps,
		.limit_instances = config->limit_instances,
		.limit_series = config->limit_series,
	};
	service->path_prefix = config->path_prefix;
	service->open = config->auth == CONFIG_AUTH_NONE;
	service->token_variable = request_token_variable(config->auth_header);
	service->body.limit_body = config->limit_body;
	service->body.limit_inflated = config->limit_inflated;
	service->body.batch.limit_depth = config->limit_depth;
	service->body.batch.invalid = config->invalid ==
	    CONFIG_INVALID_SKIP ? BATCH_SKIP : BATCH_REJECT;
	element->limit_name = config->limit_name;
	element->limit_counters = config->limit_counters;
	element->by_hour = program->sink.retention_hour > 0;
}

static int
start(struct program * program)
{
	struct config * config = program->config;
	struct redis * redis = redis_create(&config->redis,
	    (int64_t)config->redis_timeout, "flagtally");

	program->service.committer = commit_start(sink_create(&program->sink,
	    redis));
	if (program->service.committer == NULL) {
		log_error("no thread for Redis: %s", strerror(errno));
		return (-1);
	}
	if (config->tokens[0] != '\0')
		program->service.tokens = token_store_open(config->tokens);
	else if (!program->service.open)
		log_warning("no tokens are configured, so nobody may come in; "
		    "set tokens = FILE, or auth = none to let everybody in");
	return (0);
}

static void
finish(struct program * program)
{

	listen_close(&program->listen);
	commit_stop(program->service.committer);
	token_store_free(program->service.tokens);
	free(program->service.token_variable);
	config_free(program->config);
}

/* Serve the one request of a CGI program. */
static int
run_cgi(struct program * program)
{
	struct exchange exchange = { .began = clock_monotonic(),
	    .unread = -1 };
	struct workspace workspace;

	workspace_init(&workspace);
	request_serve(&program->service, &workspace, &exchange);
	workspace_free(&workspace);
	return (EXIT_SUCCESS);
}

/* Wait for a signal to stop, and meanwhile for those to reload. */
static void
wait_for_stop(struct program * program, struct server * server)
{
	static const struct timespec second = { .tv_sec = 1 };
	sigset_t signals;
	int received;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGUSR1);
	for (;;) {
		received = sigtimedwait(&signals, NULL, &second);
		server_tick(server);
		if (received == -1)
			continue;
		if (received != SIGHUP)
			return;
		log_info("SIGHUP: reading the tokens again");
		if (program->service.tokens != NULL)
			token_store_reload(program->service.tokens);
	}
}

static int
run_server(struct program * program)
{
	struct server * server = server_start(&program->service,
	    &program->listen, program->config->threads);
	int64_t deadline;

	if (server == NULL)
		return (EXIT_FAILURE);
	log_info("flagtally " PACKAGE_VERSION " is ready, with %llu threads",
	    (unsigned long long)program->config->threads);
	wait_for_stop(program, server);
	deadline = clock_monotonic() + STOP_TIME_MAX;
	commit_hurry(program->service.committer);
	/* A thread that hangs has answered, and has nothing left to lose. */
	if (!server_stop(server, deadline))
		_exit(EXIT_SUCCESS);
	return (EXIT_SUCCESS);
}

static int
run(struct program * program)
{
	const struct config * config = program->config;
	bool cgi;

	if (listen_find(&program->listen, config->listen,
	    (mode_t)config->listen_mode) != 0)
		return (EXIT_FAILURE);
	cgi = program->listen.count == 0;
	if (cgi && getenv("GATEWAY_INTERFACE") == NULL) {
		log_error("nothing to listen on: standard input is no socket; "
		    "start it from a web server, or set listen = PATH or "
		    "HOST:PORT");
		return (EXIT_USAGE);
	}
	if (start(program) != 0)
		return (EXIT_FAILURE);
	return (cgi ? run_cgi(program) : run_server(program));
}

int
main(int argc, char ** argv)
{
	struct options options = { .config = NULL };
	struct program program = { .config = NULL };
	sigset_t all;
	int status = read_options(&options, argc, argv);

	if (status != -1)
		return (status);
	/* No thread is ever interrupted: libfcgi would break a request. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	/* A heap for each thread would cost more than it saves. */
	mallopt(M_ARENA_MAX, 2);
	if (digest_init() != 0) {
		log_error("the system has no random numbers");
		return (EXIT_FAILURE);
	}
	program.config = load_config(options.config);
	if (program.config == NULL)
		return (EXIT_CONFIGURATION);
	if (options.check) {
		config_print(program.config, stdout);
		config_free(program.config);
		return (EXIT_SUCCESS);
	}
	log_set_level((enum log_level)program.config->log_level);
	settle(&program);
	status = run(&program);
	finish(&program);
	return (status);
}
