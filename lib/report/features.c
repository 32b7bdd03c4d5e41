#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/digest.h"
#include "lib/report/features.h"

struct features_entry {
	struct text key;		/* NULL bytes: the slot is free. */
	void * value;			/* A feature or a counter. */
};

void
features_init(struct features * features, struct results * results,
    size_t periods, size_t more, struct text only)
{

	memset(features, 0, sizeof(*features));
	features->results = results;
	features->periods = periods;
	features->more = more;
	features->only = only;
	digest_random(features->key, sizeof(features->key));
}

static struct features_entry *
find_slot(const struct features * features,
    struct text key)
{
	size_t i = (size_t)digest_keyed_hash(features->key, key.bytes,
	    key.length) & (features->size - 1);

	while (features->slots[i].key.bytes != NULL &&
	    !results_same(features->slots[i].key, key))
		i = (i + 1) & (features->size - 1);
	return (&features->slots[i]);
}

static bool
grow_index(struct features * features)
{
	struct features larger = *features;
	size_t i;

	larger.size = features->size == 0 ? 256 : features->size * 2;
	larger.slots = results_take(features->results, larger.size *
	    sizeof(*larger.slots));
	if (larger.slots == NULL)
		return (false);
	for (i = 0; i < features->size; i++)
		if (features->slots[i].key.bytes != NULL)
			*find_slot(&larger, features->slots[i].key) =
			    features->slots[i];
	*features = larger;
	return (true);
}

/*
 * Return the slot of a key, which is added if it is new; the caller sets the
 * value then.  Return NULL if the result becomes too large.
 */
static struct features_entry *
entry_of(struct features * features, struct text key)
{
	struct features_entry * slot;

	if (features->used * 2 >= features->size && !grow_index(features))
		return (NULL);
	slot = find_slot(features, key);
	if (slot->key.bytes == NULL) {
		slot->key = results_copy(features->results, key);
		if (slot->key.bytes == NULL)
			return (NULL);
		features->used++;
	}
	return (slot);
}

static struct report_feature *
feature_of(struct features * features, struct text encoded)
{
	struct features_entry * entry = entry_of(features, encoded);
	struct report_feature * feature;

	if (entry == NULL || entry->value != NULL)
		return (entry == NULL ? NULL : entry->value);
	feature = results_take(features->results, sizeof(*feature));
	if (feature == NULL)
		return (NULL);
	feature->name = results_decode(features->results, encoded);
	entry->value = feature;
	features->count++;
	return (feature);
}

/* Return a new counter of the feature; NULL for an unknown kind of field. */
static struct report_counter *
new_counter(struct features * features, struct report_feature * feature,
    struct text kind)
{
	static const char before[] = "variant:";
	const size_t skip = sizeof(before) - 1;
	struct report_counter * counter;

	if (text_is(&kind, "yes"))
		return (&feature->yes);
	if (text_is(&kind, "no"))
		return (&feature->no);
	if (kind.length < skip || memcmp(kind.bytes, before, skip) != 0)
		return (NULL);
	counter = results_take(features->results, sizeof(*counter));
	if (counter == NULL)
		return (NULL);
	counter->name = results_decode(features->results,
	    (struct text){ kind.bytes + skip, kind.length - skip });
	counter->next = feature->variants;
	feature->variants = counter;
	return (counter);
}

/* Return the counter of a field; NULL if the field is to be skipped. */
static struct report_counter *
counter_of(struct features * features, struct text field)
{
	struct report_feature * feature;
	struct features_entry * entry;
	struct report_counter * counter;
	struct text name, kind;

	if (!results_split(field, &name, &kind) ||
	    (features->only.bytes != NULL &&
	    !results_same(name, features->only)))
		return (NULL);
	entry = entry_of(features, field);
	if (entry == NULL || entry->value != NULL)
		return (entry == NULL ? NULL : entry->value);
	/* This can move the entries, so the slot is looked up again. */
	feature = feature_of(features, name);
	counter = feature == NULL ? NULL : new_counter(features, feature, kind);
	if (counter != NULL)
		find_slot(features, field)->value = counter;
	return (counter);
}

void
features_add(struct features * features, struct text field, size_t period,
    uint64_t number)
{
	struct report_counter * counter = counter_of(features, field);

	if (counter == NULL)
		return;
	if (counter->counts == NULL)
		counter->counts = results_take(features->results,
		    (features->periods + features->more) * sizeof(uint64_t));
	if (counter->counts == NULL)
		return;
	counter->counts[period] = results_sum(counter->counts[period], number);
	if (period < features->periods)
		counter->total = results_sum(counter->total, number);
}

void
features_seen(struct features * features, struct text name, int64_t seen)
{
	struct report_feature * feature;

	if (features->only.bytes != NULL && !results_same(name, features->only))
		return;
	feature = feature_of(features, name);
	if (feature != NULL)
		feature->seen = seen;
}

static uint64_t
evaluations(const struct report_feature * feature)
{

	return (results_sum(feature->yes.total, feature->no.total));
}

static int
compare_features(const void * left, const void * right)
{
	const struct report_feature * a =
	    *(struct report_feature * const *)left;
	const struct report_feature * b =
	    *(struct report_feature * const *)right;

	if (evaluations(a) != evaluations(b))
		return (evaluations(a) > evaluations(b) ? -1 : 1);
	return (results_compare(a->name, b->name));
}

static int
compare_counters(const void * left, const void * right)
{
	const struct report_counter * a =
	    *(struct report_counter * const *)left;
	const struct report_counter * b =
	    *(struct report_counter * const *)right;

	return (results_compare(a->name, b->name));
}

static void
sort_variants(struct report_feature * feature)
{
	struct report_counter ** list;
	struct report_counter * counter;
	size_t count = 0;
	size_t i;

	for (counter = feature->variants; counter != NULL;
	    counter = counter->next)
		count++;
	if (count < 2)
		return;
	list = alloc_zeroed(count + 1, sizeof(*list));
	count = 0;
	for (counter = feature->variants; counter != NULL;
	    counter = counter->next)
		list[count++] = counter;
	qsort(list, count, sizeof(*list), compare_counters);
	for (i = 0; i < count; i++)
		list[i]->next = list[i + 1];
	feature->variants = list[0];
	free(list);
}

void
features_list(const struct features * features, struct report_features * list)
{
	size_t i;

	list->count = 0;
	list->list = results_take(features->results, (features->count + 1) *
	    sizeof(*list->list));
	for (i = 0; list->list != NULL && i < features->size; i++) {
		struct text key = features->slots[i].key;

		if (key.bytes == NULL || features->slots[i].value == NULL ||
		    memchr(key.bytes, ':', key.length) != NULL)
			continue;
		list->list[list->count] = features->slots[i].value;
		sort_variants(list->list[list->count++]);
	}
	if (list->count > 0)
		qsort(list->list, list->count, sizeof(*list->list),
		    compare_features);
}
