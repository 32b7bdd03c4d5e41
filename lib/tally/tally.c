#include <math.h>
#include <pthread.h>
#include <string.h>

#include "lib/base/digest.h"
#include "lib/base/number.h"
#include "lib/tally/tally.h"
#include "lib/tally/tally_drop.h"

/*
 * A node's children are searched one by one while there are a few of them, as
 * there usually are of environments, applications, periods, variants and a
 * histogram's bounds.  More of them are in an index of the whole tree: a hash
 * table whose key is (parent, kind, name).  The hash of a name is keyed with a
 * secret of the process, so that no sender can choose names that collide.  It
 * is computed once, when it is first needed, and is the same in every tally, so
 * merging does not compute it again; only the place in the index depends on the
 * parent.
 */
#define FEW 8
#define SLOTS_MIN 64

static unsigned char hash_key[16];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void
make_hash_key(void)
{

	digest_random(hash_key, sizeof(hash_key));
}

/* Return a node without a parent, and ${room} bytes behind it. */
static struct tally_node *
node_create(struct tally * tally, enum tally_kind kind, size_t room)
{
	struct tally_node * node = arena_take(tally->arena,
	    sizeof(*node) + room);

	*node = (struct tally_node){ .kind = kind };
	return (node);
}

static struct tally_node **
slots_create(struct arena * arena, size_t count)
{
	struct tally_node ** slots = arena_take(arena,
	    count * sizeof(struct tally_node *));

	memset(slots, 0, count * sizeof(struct tally_node *));
	return (slots);
}

struct tally *
tally_create(struct arena * arena)
{
	struct tally * tally = arena_take(arena, sizeof(*tally));

	pthread_once(&hash_key_once, make_hash_key);
	memset(tally, 0, sizeof(*tally));
	tally->arena = arena;
	tally->largest = NUMBER_COUNT_MAX;
	tally->root = node_create(tally, TALLY_ROOT, 0);
	return (tally);
}

static uint64_t
hash_name(const void * name, size_t length)
{

	return (digest_keyed_hash(hash_key, name, length));
}

static uint64_t
node_hash(struct tally_node * node)
{

	if (node->hash == 0)
		node->hash = hash_name(node->name, node->length);
	return (node->hash);
}

/* Return where the search for a child of ${parent} begins: the same name under
 * several parents is spread by a multiplication (Fibonacci hashing). */
static size_t
first_slot(const struct tally * tally, const struct tally_node * parent,
    uint64_t hash)
{
	uint64_t spread = (uint64_t)((uintptr_t)parent / ARENA_ALIGNMENT) *
	    UINT64_C(0x9e3779b97f4a7c15);

	return ((size_t)(hash ^ spread >> 32) & (tally->slot_count - 1));
}

static bool
is_child(const struct tally_node * node, enum tally_kind kind,
    const void * name, size_t length)
{

	return (node->kind == kind && node->length == length &&
	    text_same(node->name, name, length));
}

static struct tally_node *
find_among_few(const struct tally_node * parent, enum tally_kind kind,
    const void * name, size_t length)
{
	struct tally_node * node = parent->first;

	while (node != NULL && !is_child(node, kind, name, length))
		node = node->next;
	return (node);
}

static struct tally_node ** child_slot(struct tally * tally,
    const struct tally_node * parent, enum tally_kind kind, uint64_t hash,
    const void * name, size_t length);

static void
put_into_index(struct tally * tally, struct tally_node * node)
{

	*child_slot(tally, node->parent, node->kind, node_hash(node),
	    node->name, node->length) = node;
	tally->indexed++;
}

/* Keep the table at most half full. */
__attribute__((noinline))
static void
enlarge_index(struct tally * tally)
{
	struct tally_node ** old = tally->slots;
	size_t old_count = tally->slot_count;
	size_t i;

	tally->slot_count = old_count == 0 ? SLOTS_MIN : old_count * 4;
	tally->slots = slots_create(tally->arena, tally->slot_count);
	tally->indexed = 0;
	for (i = 0; i < old_count; i++)
		if (old[i] != NULL)
			put_into_index(tally, old[i]);
}

/* Return the place of a child in the index, NULL if there is no such child. */
static struct tally_node **
child_slot(struct tally * tally, const struct tally_node * parent,
    enum tally_kind kind, uint64_t hash, const void * name, size_t length)
{
	struct tally_node * node;
	size_t mask, i;

	if (tally->indexed >= tally->slot_count / 2)
		enlarge_index(tally);
	mask = tally->slot_count - 1;
	for (i = first_slot(tally, parent, hash);
	    (node = tally->slots[i]) != NULL; i = (i + 1) & mask)
		if (node->hash == hash && node->parent == parent &&
		    is_child(node, kind, name, length))
			break;
	return (&tally->slots[i]);
}

/* Make a node that has no parent the last child of one; ${slot} is its place if
 * the parent's children are in the index. */
static void
append_child(struct tally * tally, struct tally_node * parent,
    struct tally_node * node, struct tally_node ** slot)
{

	node->parent = parent;
	if (parent->last == NULL)
		parent->first = node;
	else
		parent->last->next = node;
	parent->last = node;
	tally->node_count++;
	parent->children++;
	if (slot != NULL) {
		*slot = node;
		tally->indexed++;
	} else if (parent->children == FEW + 1)
		/* That is one too many: index all of them. */
		for (node = parent->first; node != NULL; node = node->next)
			put_into_index(tally, node);
}

/*
 * Return a child, which is added if there is none; a hash of 0 is unknown.
 * Copy its name behind it, or let the caller keep the name for as long as the
 * tally.
 */
static struct tally_node *
find_or_add(struct tally * tally, struct tally_node * parent,
    enum tally_kind kind, uint64_t hash, const void * name, size_t length,
    bool copy)
{
	struct tally_node ** slot = NULL;
	struct tally_node * node;

	if (parent->children <= FEW)
		node = find_among_few(parent, kind, name, length);
	else {
		if (hash == 0)
			hash = hash_name(name, length);
		slot = child_slot(tally, parent, kind, hash, name, length);
		node = *slot;
	}
	if (node != NULL)
		return (node);
	node = node_create(tally, kind, copy ? length : 0);
	node->hash = hash;
	node->name = name;
	if (copy && length > 0)
		node->name = memcpy(node + 1, name, length);
	node->length = length;
	append_child(tally, parent, node, slot);
	return (node);
}

struct tally_node *
tally_child(struct tally * tally, struct tally_node * parent,
    enum tally_kind kind, const void * name, size_t length)
{

	return (find_or_add(tally, parent, kind, 0, name, length, true));
}

struct tally_node *
tally_application(struct tally * tally, const struct text * environment,
    const struct text * application)
{
	struct tally_node * node = tally_child(tally, tally->root,
	    TALLY_ENVIRONMENT, environment->bytes, environment->length);

	return (tally_child(tally, node, TALLY_APPLICATION,
	    application->bytes, application->length));
}

struct tally_node *
tally_bucket(struct tally * tally, struct tally_node * application,
    int64_t period)
{
	struct tally_node * bucket = tally_child(tally, application,
	    TALLY_BUCKET, &period, sizeof(period));

	bucket->period = period;
	return (bucket);
}

static bool
is_named(const struct tally_node * node, const struct text * name)
{

	return (node->length == name->length &&
	    text_same(node->name, name->bytes, name->length));
}

/*
 * A body has metrics of a few buckets, in any order.  A bucket that was used
 * lately is found without hashing its three names; if two share a place, that
 * only costs time.
 */
static struct tally_node **
recent_slot(struct tally * tally, const struct text * application,
    int64_t period)
{
	size_t length = application->length;
	size_t last = length == 0 ? 0 :
	    (unsigned char)application->bytes[length - 1];

	return (&tally->recent[(last + length + (size_t)period) %
	    TALLY_RECENT]);
}

static bool
is_bucket(const struct tally_node * bucket, const struct text * environment,
    const struct text * application, int64_t period)
{

	return (bucket != NULL && bucket->period == period &&
	    is_named(bucket->parent, application) &&
	    is_named(bucket->parent->parent, environment));
}

struct tally_node *
tally_feature(struct tally * tally, const struct text * environment,
    const struct text * application, int64_t period,
    const struct text * feature)
{
	struct tally_node ** recent = recent_slot(tally, application, period);

	if (!is_bucket(*recent, environment, application, period))
		*recent = tally_bucket(tally, tally_application(tally,
		    environment, application), period);
	return (tally_child(tally, *recent, TALLY_FEATURE,
	    feature->bytes, feature->length));
}

struct tally_node *
tally_bucket_open(struct tally * tally)
{

	return (node_create(tally, TALLY_BUCKET, sizeof(int64_t)));
}

void
tally_bucket_place(struct tally * tally, struct tally_node * bucket,
    struct tally_node * application, int64_t period)
{

	bucket->name = memcpy(bucket + 1, &period, sizeof(period));
	bucket->length = sizeof(period);
	bucket->period = period;
	append_child(tally, application, bucket,
	    application->children <= FEW ? NULL :
	    child_slot(tally, application, TALLY_BUCKET, node_hash(bucket),
	    bucket->name, bucket->length));
}

static void
set_text(struct tally * tally, struct tally_node * node,
    const struct text * text)
{

	node->text = arena_copy(tally->arena, text->bytes, text->length);
	node->text_length = text->length;
}

void
tally_set_instance(struct tally * tally, struct tally_node * application,
    const struct text * instance, const struct text * json)
{
	struct tally_node * node = tally_child(tally, application,
	    TALLY_INSTANCE, instance->bytes, instance->length);

	if (node->text == NULL)
		tally->counters++;
	set_text(tally, node, json);
	node->when = tally->when;
}

struct tally_node *
tally_metric(struct tally * tally, const struct text * environment,
    enum tally_type type, const struct text * name, const struct text * help)
{
	struct tally_node * parent = tally_child(tally, tally->root,
	    TALLY_ENVIRONMENT, environment->bytes, environment->length);
	char * key = arena_take(tally->arena, name->length + 1);
	struct tally_node * metric;

	key[0] = (char)type;
	memcpy(key + 1, name->bytes, name->length);
	metric = tally_child(tally, parent, TALLY_METRIC, key,
	    name->length + 1);
	if (metric->text == NULL || metric->text_length != help->length ||
	    memcmp(metric->text, help->bytes, help->length) != 0)
		set_text(tally, metric, help);
	metric->when = tally->when;
	return (metric);
}

enum tally_type
tally_metric_type(const struct tally_node * metric)
{

	return ((enum tally_type)metric->name[0]);
}

struct text
tally_metric_name(const struct tally_node * metric)
{
	struct text name = { metric->name + 1, metric->length - 1 };

	return (name);
}

/* Return a child that is one distinct counter; count it if it is new. */
static struct tally_node *
counter_child(struct tally * tally, struct tally_node * parent,
    enum tally_kind kind, const struct text * name)
{
	size_t before = tally->node_count;
	struct tally_node * node = tally_child(tally, parent, kind,
	    name->bytes, name->length);

	tally->counters += tally->node_count - before;
	return (node);
}

void
tally_set_gauge(struct tally * tally, struct tally_node * series,
    double value)
{

	series->value = value;
	series->when = tally->when;
}

struct tally_node *
tally_series(struct tally * tally, struct tally_node * metric,
    const struct text * labels)
{

	return (counter_child(tally, metric, TALLY_SERIES, labels));
}

struct tally_node *
tally_bound(struct tally * tally, struct tally_node * series,
    const struct text * le)
{

	return (counter_child(tally, series, TALLY_BOUND, le));
}

void
tally_token(struct tally * tally, const void * name, size_t length)
{
	struct text text = { name, length };
	size_t before = tally->counters;

	counter_child(tally, tally->root, TALLY_TOKEN, &text);
	tally->tokens += tally->counters - before;
}

bool
tally_empty(const struct tally * tally)
{

	return (tally->root->first == NULL);
}

/* Return a name or text of another tally, or a copy of it. */
static const char *
keep_text(struct tally * into, const char * text, size_t length, bool copy)
{

	return (copy ? arena_copy(into->arena, text, length) : text);
}

/* The value that is merged last replaces the other, whatever its time. */
static void
take_latest(struct tally * tally, struct tally_node * into,
    const struct tally_node * from, bool copy)
{

	into->when = from->when;
	if (from->kind == TALLY_SERIES)
		into->value = from->value;
	else {
		into->text = keep_text(tally, from->text, from->text_length,
		    copy);
		into->text_length = from->text_length;
	}
}

/* Redis counts up to 2^63-1. */
static void
merge_count(struct tally * tally, uint64_t * into, uint64_t count)
{

	*into = count > (uint64_t)INT64_MAX - *into ? INT64_MAX :
	    *into + count;
	if (*into > tally->largest)
		tally->largest = *into;
}

static void
drop_sum(struct tally * tally, const struct tally_node * metric)
{
	struct text name = tally_metric_name(metric);

	tally->dropped[DROP_OVERFLOW]++;
	tally_drop_log(DROP_OVERFLOW, name.bytes, name.length, 1);
}

/* Add a node's values to those of another. */
static void
merge_values(struct tally * tally, struct tally_node * into,
    const struct tally_node * from, bool copy)
{

	switch (from->kind) {
	case TALLY_BUCKET:
		into->period = from->period;
		break;
	case TALLY_FEATURE:
		tally->counters += (size_t)(into->yes == 0 && from->yes > 0) +
		    (size_t)(into->no == 0 && from->no > 0);
		merge_count(tally, &into->yes, from->yes);
		merge_count(tally, &into->no, from->no);
		break;
	case TALLY_INSTANCE:
	case TALLY_METRIC:
		take_latest(tally, into, from, copy);
		break;
	case TALLY_SERIES:
		if (tally_metric_type(into->parent) == TALLY_GAUGE) {
			take_latest(tally, into, from, copy);
			break;
		}
		if (isfinite(into->value + from->value))
			into->value += from->value;
		else
			drop_sum(tally, into->parent);
		merge_count(tally, &into->count, from->count);
		break;
	case TALLY_VARIANT:
	case TALLY_BOUND:
		merge_count(tally, &into->count, from->count);
		break;
	case TALLY_ROOT:
	case TALLY_ENVIRONMENT:
	case TALLY_APPLICATION:
	case TALLY_TOKEN:
		break;
	}
}

bool
tally_is_counter(enum tally_kind kind)
{

	return (kind == TALLY_VARIANT || kind == TALLY_INSTANCE ||
	    kind == TALLY_SERIES || kind == TALLY_BOUND ||
	    kind == TALLY_TOKEN);
}

/* Find the node under ${parent} to merge ${from} into, or add it. */
static struct tally_node *
merge_node(struct tally * into, struct tally_node * parent,
    const struct tally_node * from, uint64_t hash, bool copy)
{
	size_t before = into->node_count;
	struct tally_node * node = find_or_add(into, parent, from->kind, hash,
	    from->name, from->length, copy);

	if (into->node_count > before) {
		into->counters += (size_t)tally_is_counter(from->kind);
	}
	merge_values(into, node, from, copy);
	return (node);
}

/* As deep as the tree above, which is five. */
static void
merge_children(struct tally * into, struct tally_node * parent,
    struct tally_node * from)
{
	struct tally_node * child;

	for (child = from->first; child != NULL; child = child->next) {
		child->merged_into = merge_node(into, parent, child,
		    child->hash, false);
		merge_children(into, child->merged_into, child);
	}
}

void
tally_merge(struct tally * into, struct tally * from)
{
	size_t i;

	if (tally_empty(into))
		into->largest = 0;
	merge_children(into, into->root, from->root);
	into->when = from->when;
	for (i = 0; i < DROP_COUNT; i++)
		into->dropped[i] += from->dropped[i];
}

struct tally_node *
tally_put(struct tally * tally, struct tally_node * parent,
    const struct tally_node * from)
{

	if (tally_empty(tally))
		tally->largest = 0;
	return (merge_node(tally, parent, from, 0, true));
}

struct tally_node *
tally_next(const struct tally_node * node)
{

	if (node->first != NULL)
		return (node->first);
	while (node != NULL && node->next == NULL)
		node = node->parent;
	return (node == NULL ? NULL : node->next);
}
