#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/check.h"
#include "fcgi/job.h"
#include "fcgi/listen.h"
#include "fcgi/probe.h"
#include "fcgi/ready.h"
#include "fcgi/reportctl.h"
#include "fcgi/request.h"
#include "fcgi/server.h"
#include "fcgi/spoolctl.h"
#include "lib/auth/token_file.h"
#include "lib/auth/token_set.h"
#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "lib/base/log.h"
#include "lib/base/log_output.h"
#include "lib/base/secret.h"
#include "lib/commit/commit.h"
#include "lib/config/config.h"
#include "lib/redis/cluster.h"
#include "lib/redis/sink.h"
#include "lib/sandbox/sandbox.h"

/* Milliseconds from a signal to the end: Apache kills after 3 s. */
#define STOP_TIME_MAX 1900

/* Milliseconds between two looks at the spool with ack = redis: then groups are
 * in it only from times when Redis was away. */
#define REPLAY_INTERVAL 1000

/* Milliseconds that a pipeline of a report may take. */
#define REPORT_TIMEOUT 10000

/* Milliseconds for which a CGI program folds the spool after its request. */
#define FOLD_TIME_MAX 200

/* Exit status for a wrong command line or configuration (sysexits.h). */
#define EXIT_USAGE 64
#define EXIT_CONFIGURATION CHECK_EXIT_CONFIG

enum action {
	ACTION_SERVE,
	ACTION_CHECK_CONFIG,
	ACTION_CHECK,
	ACTION_READY,
	ACTION_REPLAY,
	ACTION_LIST,
	ACTION_EXPORT,
	ACTION_RETRY,
	ACTION_DROP,
	ACTION_REPORT,
};

struct options {
	const char * config;
	enum action action;
	const char * which;		/* Records to act on. */
	struct reportctl_options report;
};

/* All parts of the program. */
struct program {
	struct config * config;
	struct service service;
	struct probe probe;
	struct page page;
	struct listen listen;
	struct replay * replay;		/* NULL: a CGI program. */
	int64_t deadline;		/* The time to end, or 0. */
	bool looks;			/* Create and rename no files. */
};

static void
usage(FILE * file)
{

	fputs("usage: flagtally [--config FILE] [--check-config | --check | "
	    "--ready]\n"
	    "       flagtally [--config FILE] --replay | --spool | "
	    "--spool-export |\n"
	    "           --spool-retry ID|all | --spool-drop ID|all\n"
	    "       flagtally [--config FILE] --report [ENV[/APP[/FEATURE]]] "
	    "[--since TIME]\n"
	    "           [--until TIME] [--by hour|day] [--top NUMBER] "
	    "[--stale AGE]\n"
	    "           [--show counts|sdks|impact|edges|health] [--below "
	    "[SDK:]VERSION]\n"
	    "           [--format table|csv|json]\n"
	    "       flagtally --version | --help\n"
	    "\n"
	    "Takes metrics of feature flags over FastCGI or as a CGI program "
	    "and counts\n"
	    "them in Redis.  A web server starts it, or it listens itself\n"
	    "(listen = PATH or HOST:PORT).\n"
	    "\n"
	    "  --config FILE   read the configuration from FILE\n"
	    "  --check-config  print the configuration in force, and the "
	    "source of each\n"
	    "                  value; status 78 if anything is wrong with it "
	    "or with\n"
	    "                  the token file\n"
	    "  --check         try the token file, the spool and Redis; "
	    "status 78 if one is\n"
	    "                  wrong, 75 if it is Redis\n"
	    "  --ready         ask the serving process whether it accepts "
	    "requests; status 1\n"
	    "                  if it does not\n"
	    "  --replay        send the counts in the spool to Redis; status "
	    "75 if that has\n"
	    "                  to be tried again\n"
	    "  --spool         list the records of the spool, with "
	    "quarantined calls\n"
	    "  --spool-export  write the quarantined calls as JSON\n"
	    "  --spool-retry   queue quarantined calls for replay again\n"
	    "  --spool-drop    remove quarantined calls\n"
	    "  --report        print counts from Redis: of all applications, "
	    "of those of ENV,\n"
	    "                  of the features of ENV/APP, or of one "
	    "feature; TIME is a day\n"
	    "                  (2026-11-23), an hour (2026-11-23T09), or an "
	    "age (30d)\n"
	    "  --stale AGE     report the features that were not evaluated "
	    "for AGE\n"
	    "  --show WHAT     report SDKs, impact metrics (of ENV/METRIC), "
	    "instances of\n"
	    "                  Edge, or the state of Redis and the spool\n"
	    "  --below VERSION report the instances with an SDK below a "
	    "version, such as\n"
	    "                  unleash-client-node:6.0.0\n"
	    "  --top NUMBER    report only the features with most evaluations\n"
	    "  --version       print the version, and whether TLS is built in\n"
	    "  --help          print this text\n", file);
}

/* An option's number: its action, or a letter. */
static const struct option known_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check-config", no_argument, NULL, ACTION_CHECK_CONFIG },
	{ "check", no_argument, NULL, ACTION_CHECK },
	{ "ready", no_argument, NULL, ACTION_READY },
	{ "replay", no_argument, NULL, ACTION_REPLAY },
	{ "spool", no_argument, NULL, ACTION_LIST },
	{ "spool-export", no_argument, NULL, ACTION_EXPORT },
	{ "spool-retry", required_argument, NULL, ACTION_RETRY },
	{ "spool-drop", required_argument, NULL, ACTION_DROP },
	{ "report", no_argument, NULL, ACTION_REPORT },
	{ "since", required_argument, NULL, 's' },
	{ "until", required_argument, NULL, 'u' },
	{ "by", required_argument, NULL, 'b' },
	{ "format", required_argument, NULL, 'f' },
	{ "stale", required_argument, NULL, 'o' },
	{ "show", required_argument, NULL, 'w' },
	{ "below", required_argument, NULL, 'l' },
	{ "top", required_argument, NULL, 't' },
	{ "version", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* Return where to put the value of an option; NULL: it is an action's. */
static const char **
option_value(struct options * options, int option)
{
	const char ** const values[] = {
		['c'] = &options->config,
		['s'] = &options->report.since,
		['u'] = &options->report.until,
		['b'] = &options->report.by,
		['f'] = &options->report.format,
		['o'] = &options->report.stale,
		['w'] = &options->report.show,
		['l'] = &options->report.below,
		['t'] = &options->report.top,
	};

	return (values[option]);
}

/* Read the command line; return -1 to go on, or a status to exit with. */
static int
read_options(struct options * options, int argc, char ** argv)
{
	const char ** value;
	bool of_report = false;
	int option;

	while ((option = getopt_long(argc, argv, "", known_options, NULL)) !=
	    -1) {
		if (option == 'v') {
			puts(REDIS_TLS_BUILT ? "flagtally " PACKAGE_VERSION
			    " with TLS" : "flagtally " PACKAGE_VERSION
			    " without TLS");
			return (EXIT_SUCCESS);
		}
		if (option == 'h') {
			usage(stdout);
			return (EXIT_SUCCESS);
		}
		if (option == '?')
			goto wrong;
		value = option_value(options, option);
		of_report |= value != NULL && option != 'c';
		if (value == NULL && options->action != ACTION_SERVE)
			goto wrong;
		if (value == NULL)
			options->action = (enum action)option;
		*(value == NULL ? &options->which : value) = optarg;
	}
	if (options->action == ACTION_REPORT && optind < argc)
		options->report.target = argv[optind++];
	if (optind == argc && (!of_report || options->action == ACTION_REPORT))
		return (-1);
wrong:
	usage(stderr);
	return (EXIT_USAGE);
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

static struct sink *
make_sink(const struct program * program)
{
	const struct config * config = program->config;

	return (sink_create(&config->sink, cluster_create(&config->redis,
	    (int64_t)config->redis_timeout, "flagtally")));
}

/* Each thread that uses the spool opens it for itself. */
static struct spool *
make_spool(const struct program * program)
{
	const struct config * config = program->config;

	return (spool_open(config->spool, config->spool_limit,
	    program->looks));
}

/* The file is beside the spool, where all processes find it. */
static struct stats *
make_stats(const struct program * program)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s.stats", program->config->spool);
	return (program->looks ? stats_look(path) : stats_open(path));
}

static void
wire_service(struct program * program)
{
	const struct config * config = program->config;
	struct service * service = &program->service;
	/* First, as it makes the directory for both. */
	struct spool * spool = make_spool(program);

	probe_init(&program->probe, spool, make_stats(program),
	    &service->auth);
	service->stats = program->probe.stats;
	program->config->sink.stats = service->stats;
	service->path_prefix = config->path_prefix;
	service->default_environment = config->default_environment;
	service->cors.origins = config->cors_origins;
	service->auth.open = config->auth == CONFIG_AUTH_NONE;
	service->auth.variable = auth_variable(config->auth_header);
	service->body = config->body;
	page_cache_init(&program->page.cache);
	program->page.access = config->page;
	program->page.prefix = config->prefix;
	program->page.redis = &config->redis;
	program->page.limit_scrape = config->limit_scrape;
	program->page.source = (struct health_source){ .probe = probe_state,
	    .context = &program->probe, .stats = service->stats,
	    .has_spool = true };
	service->page = &program->page;
	service->backstage.access = config->backstage;
	service->backstage.stats = service->stats;
	service->backstage.version = PACKAGE_VERSION;
	service->backstage.probe = probe_state;
	service->backstage.context = &program->probe;
}

/* Log only up to this level, or less if the configuration says so. */
static void
limit_log(const struct config * config, enum log_level level)
{

	if (config->log_level > level)
		log_set_level(level);
}

/* Return the token file of the configuration; NULL if it names none. */
static struct token_file *
open_tokens(const struct config * config)
{

	if (config->tokens[0] != '\0')
		return (token_file_open(config->tokens));
	if (config->auth != CONFIG_AUTH_NONE && config->token_set[0] == '\0')
		log_warning("no tokens are configured, so all requests get "
		    "403; set tokens = FILE, or token_set = KEY, or auth = "
		    "none to accept all");
	return (NULL);
}

/* The table of bodies counted lately is beside the spool, too. */
static struct repeats *
make_repeats(const struct config * config)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s.repeats", config->spool);
	return (repeats_open(path));
}

/* Start to look tokens up in Redis; ${path} is that of a cache, or NULL. */
static struct token_set *
start_token_set(const struct program * program, const char * path, bool once)
{
	const struct config * config = program->config;
	struct token_set_settings settings = {
		.key = config->token_set,
		.ttl = (int64_t)config->token_ttl,
		.stale = (int64_t)config->token_stale,
		.path = path,
		.stats = program->service.stats,
		.once = once,
	};

	return (token_set_start(&settings, cluster_create(&config->redis,
	    (int64_t)config->redis_timeout, "flagtally-tokens")));
}

static int
start_auth(struct program * program, bool cgi)
{
	const struct config * config = program->config;
	struct auth * auth = &program->service.auth;
	char path[PATH_MAX];

	/* A CGI program would log it for each request. */
	if (cgi)
		limit_log(config, LOG_LEVEL_WARNING);
	if (!auth->open)
		auth->tokens = open_tokens(config);
	log_set_level(config->log_level);
	if (auth->open || config->token_set[0] == '\0')
		return (0);
	/* The cache is beside the spool, too. */
	snprintf(path, sizeof(path), "%s.tokens", config->spool);
	auth->token_set = start_token_set(program, path, cgi);
	if (auth->token_set != NULL)
		return (0);
	log_error("no thread for tokens: %s", strerror(errno));
	return (-1);
}

/* Give up privileges before the first thread starts, so that all threads do. */
static void
confine(const struct config * config, bool cgi)
{

	/* A CGI program would log it for each request. */
	if (cgi)
		limit_log(config, LOG_LEVEL_WARNING);
	if (config->sandbox)
		sandbox_enter(config->redis.unix_path == NULL);
	log_set_level(config->log_level);
}

static int
start_service(struct program * program, bool cgi)
{
	const struct config * config = program->config;
	struct commit_settings settings = {
		.spool_first = config->ack == CONFIG_ACK_SPOOL,
		.stats = program->service.stats,
		.once = cgi,
	};

	program->service.repeats = make_repeats(config);
	settings.repeats = program->service.repeats;
	program->service.edges = edges_create(config->prefix,
	    cluster_create(&config->redis, (int64_t)config->redis_timeout,
	    "flagtally-edges"), program->service.stats);
	/* A CGI program ends before it could replay; see --replay. */
	if (!cgi) {
		program->replay = replay_start(make_sink(program),
		    make_spool(program), program->service.stats,
		    settings.spool_first ? (int64_t)config->flush_interval :
		    REPLAY_INTERVAL);
		if (program->replay == NULL) {
			log_error("no thread for replay: %s",
			    strerror(errno));
			return (-1);
		}
	}
	program->service.committer = commit_start(&settings,
	    make_sink(program), make_spool(program), program->replay);
	if (program->service.committer == NULL) {
		log_error("no thread for Redis: %s", strerror(errno));
		return (-1);
	}
	return (start_auth(program, cgi));
}

static void
program_free(struct program * program)
{
	int64_t deadline = program->deadline > 0 ? program->deadline :
	    clock_monotonic() + STOP_TIME_MAX;

	listen_close(&program->listen);
	commit_stop(program->service.committer);
	edges_free(program->service.edges);
	repeats_close(program->service.repeats);
	/* A thread that has not ended goes on using the rest. */
	if (!token_set_stop(program->service.auth.token_set, deadline) ||
	    !replay_stop(program->replay, deadline))
		return;
	probe_free(&program->probe);
	token_file_free(program->service.auth.tokens);
	free(program->service.auth.variable);
	config_free(program->config);
}

/* Serve the one request of a CGI program. */
static int
run_cgi(struct program * program)
{
	const struct service * service = &program->service;
	struct request request;

	request_init(&request);
	request.cgi = (struct cgi){ .began = clock_monotonic(),
	    .time_max = (int64_t)program->config->receive_timeout,
	    .unread = -1 };
	if (!request_serve(service, &request)) {
		commit_wait(service->committer, &request.ticket);
		request_conclude(service, &request);
	}
	request_free(&request);
	/* As a server does, so that equal counters add up in the spool. */
	replay_fold(program->probe.spool, clock_monotonic() + FOLD_TIME_MAX);
	return (EXIT_SUCCESS);
}

/* The files that processes share may be deleted while they are in use. */
static void
renew_files(const struct program * program)
{

	stats_renew(program->service.stats);
	token_set_renew(program->service.auth.token_set);
	/* It looks for its file itself. */
	repeats_lock(program->service.repeats);
	repeats_unlock(program->service.repeats);
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
		renew_files(program);
		log_report_lost();
		if (received == -1)
			continue;
		if (received != SIGHUP)
			return;
		log_renew();
		log_info("SIGHUP: reading the tokens again");
		if (program->service.auth.tokens != NULL)
			token_file_reload(program->service.auth.tokens);
	}
}

static int
run_server(struct program * program)
{
	const struct config * config = program->config;
	struct server_limits limits = { .threads = config->threads,
	    .parameters = config->limit_cgi_params,
	    .time_max = (int64_t)config->receive_timeout };
	struct server * server = server_start(&program->service,
	    &program->listen, &limits);

	if (server == NULL)
		return (EXIT_FAILURE);
	log_info("flagtally " PACKAGE_VERSION " is ready, with %llu threads",
	    (unsigned long long)config->threads);
	wait_for_stop(program, server);
	program->deadline = clock_monotonic() + STOP_TIME_MAX;
	commit_hurry(program->service.committer);
	listen_hide(&program->listen);
	/* Requests of a thread that hangs have been answered by now. */
	if (!server_stop(server, program->deadline))
		_exit(EXIT_SUCCESS);
	return (EXIT_SUCCESS);
}

static struct sink *
make_check_sink(void * context, const struct sink_settings * settings)
{
	const struct program * program = context;
	const struct config * config = program->config;

	return (sink_create(settings, cluster_create(&config->redis,
	    (int64_t)config->redis_timeout, "flagtally-check")));
}

/* Run --check-config or --check. */
static int
run_check(struct program * program, enum action action)
{
	const struct config * config = program->config;
	struct token_set * set = NULL;
	struct token_file * tokens;
	int status;

	limit_log(config, LOG_LEVEL_WARNING);
	if (action == ACTION_CHECK_CONFIG)
		config_print(config, stdout);
	/* Log lines are to follow it. */
	fflush(stdout);
	tokens = open_tokens(config);
	if (action == ACTION_CHECK && config->auth != CONFIG_AUTH_NONE &&
	    config->token_set[0] != '\0')
		set = start_token_set(program, NULL, true);
	status = action == ACTION_CHECK_CONFIG ?
	    check_config(config, tokens) :
	    check_all(config, tokens, set, make_check_sink, program);
	token_set_stop(set, 0);
	token_file_free(tokens);
	return (status);
}

/* Run --ready. */
static int
run_ready(const struct config * config)
{

	limit_log(config, LOG_LEVEL_WARNING);
	if (config->listen[0] == '\0') {
		log_error("--ready asks the process at listen, which is not "
		    "set");
		return (EXIT_CONFIGURATION);
	}
	return (ready_ask(config->listen, stdout));
}

/*
 * Look at the spool and the numbers beside it as their owner, if there are any:
 * a report can also run on another host.
 */
static bool
look_at_spool(struct program * program)
{
	const struct config * config = program->config;

	program->looks = true;
	program->probe.looks = true;
	probe_init(&program->probe, NULL, NULL, NULL);
	if (access(config->spool, F_OK) != 0)
		return (errno == EACCES);
	if (spoolctl_ready(config->spool) != -1)
		return (true);
	if (access(config->spool, R_OK) == 0) {
		program->probe.spool = make_spool(program);
		program->probe.stats = make_stats(program);
	}
	return (true);
}

/* Print a report. */
static int
report_from_redis(struct program * program, const struct options * options)
{
	const struct config * config = program->config;
	struct health_source source = { .probe = probe_state,
	    .context = &program->probe };
	int status;

	/* The report itself logs why it failed. */
	limit_log(config, LOG_LEVEL_ERROR);
	source.has_spool = look_at_spool(program);
	source.stats = program->probe.stats;
	status = reportctl_run(&options->report, config->prefix,
	    cluster_create(&config->redis, REPORT_TIMEOUT, "flagtally-report"),
	    &source);
	probe_free(&program->probe);
	return (status);
}

/* Run one of the options for the spool. */
static int
run_spoolctl(struct program * program, const struct options * options)
{
	struct sink * sink = make_sink(program);
	struct spool * spool = program->probe.spool;
	int status;

	confine(program->config, true);
	if (options->action == ACTION_REPLAY)
		status = spoolctl_replay(sink, spool, program->service.stats);
	else if (options->action == ACTION_LIST)
		status = spoolctl_list(spool);
	else if (options->action == ACTION_EXPORT)
		status = spoolctl_export(spool);
	else if (options->action == ACTION_RETRY)
		status = spoolctl_retry(sink, spool, options->which);
	else
		status = spoolctl_drop(spool, options->which);
	sink_free(sink);
	return (status);
}

static int
serve(struct program * program)
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
	confine(config, cgi);
	if ((!cgi && job_setup() != 0) || start_service(program, cgi) != 0)
		return (EXIT_FAILURE);
	return (cgi ? run_cgi(program) : run_server(program));
}

/*
 * A server blocks signals in all threads, because libfcgi breaks a request
 * whose read is interrupted.  Fatal signals stay unblocked everywhere, and all
 * signals do for --replay, --spool and the like, so that Ctrl-C works.
 */
static void
block_signals(void)
{
	static const int deadly[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT,
	    SIGSEGV, SIGSYS, SIGTRAP };
	sigset_t all;
	size_t i;

	sigfillset(&all);
	for (i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		sigdelset(&all, deadly[i]);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
}

/* Return -1 if there is a spool to act on, else the exit status.  Without one
 * nothing waits, but --replay fails if Redis cannot be reached. */
static int
prepare_spoolctl(struct program * program, const struct options * options)
{
	int status = spoolctl_ready(program->config->spool);
	struct sink * sink;

	program->looks = options->action == ACTION_LIST ||
	    options->action == ACTION_EXPORT;
	if (status != 0 || options->action != ACTION_REPLAY)
		return (status);
	sink = make_sink(program);
	status = spoolctl_reach(sink);
	sink_free(sink);
	return (status);
}

/*
 * A heap for each thread would cost more than it saves.  Where the address
 * space is limited there must be no second one: it reserves 64 MB, and without
 * these malloc takes a page for each piece.
 */
static int
heaps_max(void)
{
	struct rlimit limit;

	return (getrlimit(RLIMIT_AS, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY ? 1 : 2);
}

/* Run the program; return the exit status. */
static int
act(const struct options * options)
{
	/* Threads that are left behind may use it until the process is gone. */
	static struct program program;
	int status = -1;

	/* A broken pipe is an error of the write. */
	signal(SIGPIPE, SIG_IGN);
	if (options->action == ACTION_SERVE)
		block_signals();
	umask(077);
	mallopt(M_ARENA_MAX, heaps_max());
	program.config = load_config(options->config);
	if (program.config == NULL)
		return (EXIT_CONFIGURATION);
	secret_hide(environ, "FLAGTALLY_REDIS");
	/* Not before: the configuration may be a descriptor. */
	sandbox_descriptors(listen_passed());
	log_output_start();
	if (!program.config->core_dumps)
		sandbox_memory();
	if (digest_init() != 0) {
		log_error("the system has no random numbers");
		return (EXIT_FAILURE);
	}
	log_set_level(program.config->log_level);
	if (options->action == ACTION_CHECK_CONFIG ||
	    options->action == ACTION_CHECK)
		status = run_check(&program, options->action);
	else if (options->action == ACTION_READY)
		status = run_ready(program.config);
	else if (options->action == ACTION_REPORT)
		status = report_from_redis(&program, options);
	else if (options->action != ACTION_SERVE)
		status = prepare_spoolctl(&program, options);
	if (status == -1) {
		wire_service(&program);
		status = options->action == ACTION_SERVE ? serve(&program) :
		    run_spoolctl(&program, options);
		program_free(&program);
	} else
		config_free(program.config);
	return (status);
}

/*
 * A web server passes a query string without '=' to a CGI program as arguments
 * (RFC 3875, section 4.4), so any client can write them.
 */
static bool
is_for_request(void)
{

	return (getenv("GATEWAY_INTERFACE") != NULL && !listen_inherited());
}

int
main(int argc, char ** argv)
{
	struct options options = { .config = NULL };
	int status;

	log_start();
	status = is_for_request() ? -1 :
	    read_options(&options, argc, argv);
	return (spoolctl_end(status == -1 ? act(&options) : status));
}
