#include <string.h>

#include "lib/redis/commands.h"
#include "lib/redis/footprint.h"

/* An argument's length and line ends in RESP, and words of our own. */
#define ARGUMENT ((size_t)32)

/* A number as an argument. */
#define NUMBER (ARGUMENT + 24)

/* The keys of a call, and all that it holds beside keys and counts. */
#define KEYS 6
#define CALL (20 * NUMBER)

/* A node in a tally, with its part of the index. */
#define NODE (sizeof(struct tally_node) + 64)

/* A name with percent-encoding. */
static size_t
name_of(const struct tally_node * node)
{

	return (node->length * 3 + ARGUMENT);
}

/* What calls for ${count} counters take that all have the same keys. */
static size_t
calls_of(size_t tag, size_t count)
{

	return ((count / (COMMANDS_INCREMENTS_MAX / 2) + 1) *
	    (KEYS * (tag + 2 * ARGUMENT) + CALL));
}

static size_t
feature_cost(const struct tally_node * feature, size_t * count)
{
	const struct tally_node * variant = feature->first;
	size_t cost = NODE + name_of(feature) + 3 * NUMBER;

	*count += 2;
	for (; variant != NULL; variant = variant->next) {
		cost += NODE + name_of(variant) + NUMBER;
		++*count;
	}
	return (cost);
}

static size_t
bucket_cost(const struct tally_node * bucket, size_t tag)
{
	const struct tally_node * feature = bucket->first;
	size_t cost = NODE;
	size_t longest = 0;
	size_t count = 0;

	for (; feature != NULL; feature = feature->next) {
		cost += feature_cost(feature, &count);
		if (name_of(feature) > longest)
			longest = name_of(feature);
	}
	/* A feature that is cut has its name in each call. */
	return (cost + calls_of(tag + longest / KEYS, count));
}

static size_t
application_cost(const struct tally_node * application, size_t tag)
{
	const struct tally_node * node = application->first;
	size_t cost = NODE + name_of(application);
	size_t instances = 0;

	tag += name_of(application);
	for (; node != NULL; node = node->next) {
		if (node->kind == TALLY_BUCKET) {
			cost += bucket_cost(node, tag);
			continue;
		}
		cost += NODE + name_of(node) + node->text_length + 2 * NUMBER;
		instances++;
	}
	return (cost + calls_of(tag, instances * 5));
}

/* Each field of a histogram has the labels of its series. */
static size_t
series_cost(const struct tally_node * series, size_t * fields)
{
	const struct tally_node * bound = series->first;
	size_t cost = NODE + 2 * (series->length + 3 * NUMBER);

	*fields += 2;
	for (; bound != NULL; bound = bound->next) {
		cost += NODE + series->length + bound->length + 3 * NUMBER;
		++*fields;
	}
	return (cost);
}

static size_t
metric_cost(const struct tally_node * metric, size_t tag)
{
	const struct tally_node * series = metric->first;
	size_t head = 3 * (tag + metric->length + ARGUMENT) +
	    metric->text_length + 2 * NUMBER;
	size_t cost = NODE;
	size_t fields = 0;

	for (; series != NULL; series = series->next)
		cost += series_cost(series, &fields);
	return (cost + (fields / COMMANDS_INCREMENTS_MAX + 2) * head);
}

static size_t
environment_cost(const struct tally_node * environment, size_t prefix)
{
	const struct tally_node * node = environment->first;
	size_t tag = prefix + name_of(environment);
	size_t cost = NODE + calls_of(tag, 0);

	for (; node != NULL; node = node->next)
		cost += node->kind == TALLY_METRIC ? metric_cost(node, tag) :
		    application_cost(node, tag);
	return (cost);
}

size_t
footprint_of(const struct tally * tally, const struct sink_settings * settings)
{
	const struct tally_node * node = tally->root->first;
	size_t prefix = strlen(settings->prefix) + ARGUMENT;
	size_t cost = 0;

	for (; node != NULL; node = node->next)
		cost += node->kind == TALLY_ENVIRONMENT ?
		    environment_cost(node, prefix) : NODE + 4 * NUMBER;
	return (cost);
}
