#include "lib/body/schema.h"

/*
 * The tables for bulk bodies follow tests/api/post-bulk-metrics.yaml, in the
 * order in which Unleash Edge writes the members.  They add what real senders
 * send beyond it: seenTokens, sdkFlavor and sdkFlavorVersion, variants that are
 * null, labels that are numbers, and an le of "+Inf".
 *
 * The tables for SDKs have the members in the order of most SDKs, and only
 * those that have a use.  They require little: an SDK must not lose counts
 * because it leaves a member out, sends it as null, or in an older form.
 */
#define NAME(string) { string, sizeof(string) - 1 }
#define BIT(index) ((uint32_t)1 << (index))
#define OBJECT(direct_, meaning_, rules_, required_) {			\
	.kind = SHAPE_OBJECT, .direct = (direct_),			\
	.meaning = (meaning_), .rules = (rules_),			\
	.count = sizeof(rules_) / sizeof((rules_)[0]) - 1,		\
	.items = &schema_ignored, .expected = (rules_),			\
	.required = (required_) }
/* Ends the rules of an object's members. */
#define END { .name = { NULL, SIZE_MAX } }
#define ARRAY_OF(rule, meaning_) {					\
	.kind = SHAPE_ARRAY, .direct = true, .meaning = (meaning_),	\
	.items = &(rule), .expected = &json_rule_none }
#define MAP_OF(rule) {							\
	.kind = SHAPE_MAP, .direct = true, .items = &(rule),		\
	.expected = &json_rule_none }

/* A value that is null counts as absent. */
#define OR_NULL(types) .accepts = (types) | JSON_NULL, .quiet = JSON_NULL

/* A value that the element takes by its own function. */
#define DIRECT(types) .accepts = (types), .direct = (types)
#define DIRECT_OR_NULL(types) OR_NULL(types), .direct = (types)

/* A string or null: KEPT in a slot, or UNKEPT and only checked. */
#define KEPT(name_, slot_) { .name = NAME(name_),			\
	DIRECT_OR_NULL(JSON_STRING), .use = USE_TEXT, .slot = (slot_) }
#define UNKEPT(name_) { .name = NAME(name_),				\
	.accepts = JSON_STRING | JSON_NULL,				\
	.quiet = JSON_STRING | JSON_NULL }

#define SCALARS (JSON_NULL | JSON_BOOLEAN | JSON_NUMBER | JSON_STRING)

const struct json_shape schema_any = {
	.kind = SHAPE_ANY, .direct = true, .rules = &json_rule_none,
	.items = &schema_ignored, .expected = &json_rule_none };
const struct json_rule schema_ignored = { .quiet = SCALARS,
	.accepts = SCALARS | JSON_OBJECT | JSON_ARRAY, .shape = &schema_any };

/* connectVia */

static const struct json_rule via_members[] = {
	{ .name = NAME("appName"), DIRECT(JSON_STRING), .use = USE_TEXT,
	  .slot = SLOT_VIA_APP_NAME },
	{ .name = NAME("instanceId"), DIRECT(JSON_STRING),
	  .use = USE_TEXT, .slot = SLOT_VIA_INSTANCE_ID },
	END,
};
static const struct json_shape via_shape =
    OBJECT(true, MEANS_VIA, via_members, BIT(0) | BIT(1));
static const struct json_rule via_item = {
	.accepts = JSON_OBJECT, .shape = &via_shape };
static const struct json_shape via_array = ARRAY_OF(via_item,
    MEANS_CONNECT_VIA);

/* applications */

static const struct json_rule strategy_item = {
	DIRECT(JSON_STRING), .use = USE_LIST_ITEM, .slot = LIST_STRATEGIES };
static const struct json_shape strategy_array = ARRAY_OF(strategy_item,
    MEANS_STRATEGIES);
static const struct json_rule project_item = {
	DIRECT(JSON_STRING), .use = USE_LIST_ITEM, .slot = LIST_PROJECTS };
static const struct json_shape project_array = ARRAY_OF(project_item,
    MEANS_PROJECTS);

enum {
	APPLICATION_APP_NAME, APPLICATION_CONNECT_VIA,
	APPLICATION_ENVIRONMENT, APPLICATION_PROJECTS,
	APPLICATION_INSTANCE_ID, APPLICATION_CONNECTION_ID,
	APPLICATION_INTERVAL, APPLICATION_STARTED, APPLICATION_STRATEGIES,
	APPLICATION_SDK_VERSION, APPLICATION_SDK_TYPE,
	APPLICATION_YGGDRASIL_VERSION, APPLICATION_PLATFORM_NAME,
	APPLICATION_PLATFORM_VERSION, APPLICATION_SDK_FLAVOR,
	APPLICATION_SDK_FLAVOR_VERSION,
};

static const struct json_rule application_members[] = {
	[APPLICATION_APP_NAME] = { .name = NAME("appName"),
	  DIRECT(JSON_STRING), .use = USE_TEXT, .slot = SLOT_APP_NAME },
	[APPLICATION_CONNECT_VIA] = { .name = NAME("connectVia"),
	  OR_NULL(JSON_ARRAY), .shape = &via_array },
	[APPLICATION_ENVIRONMENT] = KEPT("environment", SLOT_ENVIRONMENT),
	[APPLICATION_PROJECTS] = { .name = NAME("projects"),
	  OR_NULL(JSON_ARRAY), .shape = &project_array },
	[APPLICATION_INSTANCE_ID] = KEPT("instanceId", SLOT_INSTANCE_ID),
	[APPLICATION_CONNECTION_ID] = KEPT("connectionId",
	    SLOT_CONNECTION_ID),
	[APPLICATION_INTERVAL] = { .name = NAME("interval"),
	  DIRECT(JSON_NUMBER), .use = USE_INTEGER, .slot = SLOT_INTERVAL },
	[APPLICATION_STARTED] = { .name = NAME("started"),
	  DIRECT(JSON_STRING), .use = USE_DATE_TEXT,
	  .slot = SLOT_STARTED },
	[APPLICATION_STRATEGIES] = { .name = NAME("strategies"),
	  .accepts = JSON_ARRAY, .shape = &strategy_array },
	[APPLICATION_SDK_VERSION] = KEPT("sdkVersion", SLOT_SDK_VERSION),
	[APPLICATION_SDK_TYPE] = { .name = NAME("sdkType"),
	  DIRECT_OR_NULL(JSON_STRING), .use = USE_SDK_TYPE,
	  .slot = SLOT_SDK_TYPE },
	[APPLICATION_YGGDRASIL_VERSION] = KEPT("yggdrasilVersion",
	    SLOT_YGGDRASIL_VERSION),
	[APPLICATION_PLATFORM_NAME] = KEPT("platformName",
	    SLOT_PLATFORM_NAME),
	[APPLICATION_PLATFORM_VERSION] = KEPT("platformVersion",
	    SLOT_PLATFORM_VERSION),
	[APPLICATION_SDK_FLAVOR] = KEPT("sdkFlavor", SLOT_SDK_FLAVOR),
	[APPLICATION_SDK_FLAVOR_VERSION] = KEPT("sdkFlavorVersion",
	    SLOT_SDK_FLAVOR_VERSION),
	END,
};
static const struct json_shape application_shape =
    OBJECT(true, MEANS_APPLICATION, application_members,
    BIT(APPLICATION_APP_NAME) | BIT(APPLICATION_INTERVAL) |
    BIT(APPLICATION_STARTED) | BIT(APPLICATION_STRATEGIES));
static const struct json_rule application_item = {
	.accepts = JSON_OBJECT, .element = true,
	.shape = &application_shape };
static const struct json_shape application_array =
    ARRAY_OF(application_item,
    MEANS_NOTHING);

/* metrics */

static const struct json_rule variant_item = {
	DIRECT(JSON_NUMBER), .named = true, .use = USE_VARIANT };
static const struct json_shape variant_map = MAP_OF(variant_item);

enum {
	METRIC_FEATURE_NAME, METRIC_APP_NAME, METRIC_ENVIRONMENT,
	METRIC_TIMESTAMP, METRIC_YES, METRIC_NO, METRIC_VARIANTS,
	METRIC_SDK_VERSION, METRIC_SDK_TYPE, METRIC_YGGDRASIL_VERSION,
	METRIC_PLATFORM_NAME, METRIC_PLATFORM_VERSION, METRIC_SDK_FLAVOR,
	METRIC_SDK_FLAVOR_VERSION,
};

static const struct json_rule metric_members[] = {
	[METRIC_FEATURE_NAME] = { .name = NAME("featureName"),
	  DIRECT(JSON_STRING), .use = USE_TEXT,
	  .slot = SLOT_FEATURE_NAME },
	[METRIC_APP_NAME] = { .name = NAME("appName"),
	  DIRECT(JSON_STRING), .use = USE_TEXT, .slot = SLOT_APP_NAME },
	[METRIC_ENVIRONMENT] = { .name = NAME("environment"),
	  DIRECT(JSON_STRING), .use = USE_TEXT,
	  .slot = SLOT_ENVIRONMENT },
	[METRIC_TIMESTAMP] = { .name = NAME("timestamp"),
	  DIRECT(JSON_STRING), .use = USE_TIMESTAMP },
	[METRIC_YES] = { .name = NAME("yes"),
	  DIRECT(JSON_NUMBER), .use = USE_COUNT, .slot = COUNT_YES },
	[METRIC_NO] = { .name = NAME("no"),
	  DIRECT(JSON_NUMBER), .use = USE_COUNT, .slot = COUNT_NO },
	[METRIC_VARIANTS] = { .name = NAME("variants"),
	  OR_NULL(JSON_OBJECT), .shape = &variant_map },
	[METRIC_SDK_VERSION] = UNKEPT("sdkVersion"),
	[METRIC_SDK_TYPE] = { .name = NAME("sdkType"),
	  DIRECT_OR_NULL(JSON_STRING), .use = USE_SDK_TYPE,
	  .slot = SLOT_COUNT },
	[METRIC_YGGDRASIL_VERSION] = UNKEPT("yggdrasilVersion"),
	[METRIC_PLATFORM_NAME] = UNKEPT("platformName"),
	[METRIC_PLATFORM_VERSION] = UNKEPT("platformVersion"),
	[METRIC_SDK_FLAVOR] = UNKEPT("sdkFlavor"),
	[METRIC_SDK_FLAVOR_VERSION] = UNKEPT("sdkFlavorVersion"),
	END,
};
static const struct json_shape metric_shape =
    OBJECT(true, MEANS_METRIC, metric_members,
    BIT(METRIC_FEATURE_NAME) | BIT(METRIC_APP_NAME) |
    BIT(METRIC_ENVIRONMENT) | BIT(METRIC_TIMESTAMP) | BIT(METRIC_YES) |
    BIT(METRIC_NO) | BIT(METRIC_VARIANTS));
static const struct json_rule metric_item = {
	.accepts = JSON_OBJECT, .element = true, .shape = &metric_shape };
static const struct json_shape metric_array = ARRAY_OF(metric_item,
    MEANS_NOTHING);

/* impactMetrics */

enum { BUCKET_LE, BUCKET_COUNT };

static const struct json_rule bucket_members[] = {
	[BUCKET_LE] = { .name = NAME("le"),
	  DIRECT(JSON_NUMBER | JSON_STRING | JSON_NULL),
	  .use = USE_BOUND },
	[BUCKET_COUNT] = { .name = NAME("count"),
	  DIRECT(JSON_NUMBER), .use = USE_COUNT, .slot = COUNT_BUCKET },
	END,
};
static const struct json_shape bucket_shape =
    OBJECT(true, MEANS_BUCKET, bucket_members,
    BIT(BUCKET_LE) | BIT(BUCKET_COUNT));
static const struct json_rule bucket_item = {
	.accepts = JSON_OBJECT, .shape = &bucket_shape };
static const struct json_shape bucket_array = ARRAY_OF(bucket_item,
    MEANS_NOTHING);

static const struct json_rule label_item = {
	DIRECT(JSON_STRING | JSON_NUMBER), .named = true, .use = USE_LABEL };
static const struct json_shape label_map = MAP_OF(label_item);

#define LABELS { .name = NAME("labels"), OR_NULL(JSON_OBJECT),		\
	.shape = &label_map }
#define VALUE { .name = NAME("value"), .alternative = NUMERIC,		\
	DIRECT(JSON_NUMBER | JSON_NULL), .use = USE_NUMBER }
#define COUNT { .name = NAME("count"), .alternative = HISTOGRAM,	\
	DIRECT(JSON_NUMBER), .use = USE_COUNT, .slot = COUNT_SAMPLE }
#define SUM { .name = NAME("sum"), .alternative = HISTOGRAM,		\
	DIRECT(JSON_NUMBER | JSON_NULL), .use = USE_NUMBER }
#define BUCKETS { .name = NAME("buckets"), .alternative = HISTOGRAM,	\
	.accepts = JSON_ARRAY, .shape = &bucket_array }

enum { SAMPLE_LABELS, SAMPLE_VALUE, SAMPLE_COUNT, SAMPLE_SUM,
	SAMPLE_BUCKETS };

static const struct json_rule sample_members[] = {
	[SAMPLE_LABELS] = LABELS, [SAMPLE_VALUE] = VALUE,
	[SAMPLE_COUNT] = COUNT, [SAMPLE_SUM] = SUM,
	[SAMPLE_BUCKETS] = BUCKETS, END,
};
const uint32_t schema_sample_required[ALTERNATIVE_COUNT] = {
	[NUMERIC] = BIT(SAMPLE_VALUE),
	[HISTOGRAM] = BIT(SAMPLE_COUNT) | BIT(SAMPLE_SUM) |
	    BIT(SAMPLE_BUCKETS),
};
static const struct json_rule numeric_members[] = { LABELS, VALUE, END };
static const struct json_rule histogram_members[] = {
	LABELS, COUNT, SUM, BUCKETS, END };
const struct json_shape schema_sample[ALTERNATIVE_COUNT] = {
	/* Which of these are valid depends on the metric's type. */
	[EITHER] = { .kind = SHAPE_OBJECT, .meaning = MEANS_SAMPLE,
	    .rules = sample_members,
	    .count = sizeof(sample_members) / sizeof(sample_members[0]) - 1,
	    .items = &schema_ignored, .expected = &json_rule_none },
	[NUMERIC] = OBJECT(true, MEANS_SAMPLE, numeric_members, BIT(1)),
	[HISTOGRAM] = OBJECT(true, MEANS_SAMPLE, histogram_members,
	    BIT(1) | BIT(2) | BIT(3)),
};
static const struct json_rule sample_item = {
	.accepts = JSON_OBJECT, .shape = &schema_sample[EITHER] };
static const struct json_shape sample_array = ARRAY_OF(sample_item,
    MEANS_NOTHING);

enum { IMPACT_TYPE, IMPACT_NAME, IMPACT_HELP, IMPACT_SAMPLES };

static const struct json_rule impact_members[] = {
	[IMPACT_TYPE] = { .name = NAME("type"),
	  .accepts = JSON_STRING, .use = USE_IMPACT_TYPE },
	[IMPACT_NAME] = { .name = NAME("name"),
	  DIRECT(JSON_STRING), .use = USE_TEXT, .slot = SLOT_NAME },
	[IMPACT_HELP] = { .name = NAME("help"),
	  DIRECT(JSON_STRING), .use = USE_TEXT, .slot = SLOT_HELP },
	[IMPACT_SAMPLES] = { .name = NAME("samples"),
	  .accepts = JSON_ARRAY, .shape = &sample_array },
	END,
};
/* The validator keeps faults of its samples until its type is known. */
static const struct json_shape impact_shape =
    OBJECT(false, MEANS_IMPACT, impact_members,
    BIT(IMPACT_TYPE) | BIT(IMPACT_NAME) | BIT(IMPACT_HELP) |
    BIT(IMPACT_SAMPLES));
static const struct json_rule impact_item = {
	.accepts = JSON_OBJECT, .element = true, .shape = &impact_shape };
static const struct json_shape impact_array = ARRAY_OF(impact_item,
    MEANS_NOTHING);

/* seenTokens, and the body */

static const struct json_rule token_item = {
	DIRECT(JSON_STRING), .use = USE_TOKEN, .element = true };
static const struct json_shape token_array = ARRAY_OF(token_item,
    MEANS_NOTHING);

static const struct json_rule bulk_members[] = {
	{ .name = NAME("applications"), .accepts = JSON_ARRAY,
	  .shape = &application_array },
	{ .name = NAME("metrics"), .accepts = JSON_ARRAY,
	  .shape = &metric_array },
	{ .name = NAME("impactMetrics"), OR_NULL(JSON_ARRAY),
	  .shape = &impact_array },
	{ .name = NAME("seenTokens"), OR_NULL(JSON_ARRAY),
	  .shape = &token_array },
	END,
};
static const struct json_shape bulk_shape =
    OBJECT(true, MEANS_NOTHING, bulk_members, BIT(0) | BIT(1));
const struct json_rule schema_bulk = {
	.accepts = JSON_OBJECT, .shape = &bulk_shape };

/* An SDK's metrics.  As in Unleash, numbers can also be strings. */

#define TOGGLE_COUNT(name_, slot_) { .name = NAME(name_),		\
	DIRECT_OR_NULL(JSON_NUMBER | JSON_STRING), .use = USE_COUNT,	\
	.slot = (slot_) }

static const struct json_rule toggle_members[] = {
	TOGGLE_COUNT("yes", COUNT_YES),
	TOGGLE_COUNT("no", COUNT_NO),
	{ .name = NAME("variants"), OR_NULL(JSON_OBJECT),
	  .shape = &variant_map },
	END,
};
static const struct json_shape toggle_shape =
    OBJECT(true, MEANS_TOGGLE, toggle_members, 0);
static const struct json_rule toggle_item = {
	.accepts = JSON_OBJECT, .element = true, .named = true,
	.shape = &toggle_shape };
static const struct json_shape toggle_map = MAP_OF(toggle_item);

/* The bucket's stop is ignored: its hour is that of its start. */
static const struct json_rule interval_members[] = {
	{ .name = NAME("start"), DIRECT(JSON_STRING | JSON_NUMBER),
	  .use = USE_START },
	{ .name = NAME("toggles"), .accepts = JSON_OBJECT,
	  .shape = &toggle_map },
	END,
};
static const struct json_shape interval_shape =
    OBJECT(true, MEANS_NOTHING, interval_members, BIT(0) | BIT(1));

static const struct json_rule report_members[] = {
	{ .name = NAME("appName"), DIRECT(JSON_STRING | JSON_NUMBER),
	  .use = USE_REPORT, .slot = SLOT_APP_NAME },
	{ .name = NAME("instanceId"), DIRECT_OR_NULL(JSON_STRING),
	  .use = USE_REPORT, .slot = SLOT_INSTANCE_ID },
	{ .name = NAME("connectionId"), DIRECT_OR_NULL(JSON_STRING),
	  .use = USE_REPORT, .slot = SLOT_CONNECTION_ID },
	{ .name = NAME("bucket"), OR_NULL(JSON_OBJECT),
	  .shape = &interval_shape },
	{ .name = NAME("impactMetrics"), OR_NULL(JSON_ARRAY),
	  .shape = &impact_array },
	END,
};
static const struct json_shape report_shape =
    OBJECT(true, MEANS_REPORT, report_members, BIT(0));
const struct json_rule schema_report = {
	.accepts = JSON_OBJECT, .shape = &report_shape };

/* An SDK's registration.  Environment and projects are the token's. */

static const struct json_rule register_members[] = {
	{ .name = NAME("appName"), DIRECT(JSON_STRING | JSON_NUMBER),
	  .use = USE_TEXT, .slot = SLOT_APP_NAME },
	KEPT("instanceId", SLOT_INSTANCE_ID),
	KEPT("connectionId", SLOT_CONNECTION_ID),
	KEPT("sdkVersion", SLOT_SDK_VERSION),
	{ .name = NAME("strategies"), OR_NULL(JSON_ARRAY),
	  .shape = &strategy_array },
	{ .name = NAME("started"), DIRECT_OR_NULL(JSON_STRING),
	  .use = USE_DATE_TEXT, .slot = SLOT_STARTED },
	{ .name = NAME("interval"), DIRECT_OR_NULL(JSON_NUMBER),
	  .use = USE_INTEGER, .slot = SLOT_INTERVAL },
	KEPT("platformName", SLOT_PLATFORM_NAME),
	KEPT("platformVersion", SLOT_PLATFORM_VERSION),
	KEPT("yggdrasilVersion", SLOT_YGGDRASIL_VERSION),
	KEPT("specVersion", SLOT_SPEC_VERSION),
	{ .name = NAME("sdkType"), DIRECT_OR_NULL(JSON_STRING),
	  .use = USE_SDK_TYPE, .slot = SLOT_SDK_TYPE },
	KEPT("sdkFlavor", SLOT_SDK_FLAVOR),
	KEPT("sdkFlavorVersion", SLOT_SDK_FLAVOR_VERSION),
	{ .name = NAME("connectVia"), OR_NULL(JSON_ARRAY),
	  .shape = &via_array },
	END,
};
static const struct json_shape register_shape =
    OBJECT(true, MEANS_APPLICATION, register_members, BIT(0));
const struct json_rule schema_register = {
	.accepts = JSON_OBJECT, .shape = &register_shape };

unsigned int
schema_member(const struct json_shape * shape, const char * name,
    size_t length)
{
	unsigned int i;

	for (i = 0; i < shape->count; i++)
		if (json_rule_is(&shape->rules[i], name, length))
			break;
	return (i);
}

const char *
schema_expected(const struct json_rule * rule)
{

	if (rule->use == USE_BOUND)
		return ("a number or \"+Inf\"");
	switch (rule->accepts) {
	case JSON_STRING:
		return ("a string");
	case JSON_STRING | JSON_NULL:
		return ("a string or null");
	case JSON_NUMBER:
	case JSON_NUMBER | JSON_NULL:
		return ("a number");
	case JSON_NUMBER | JSON_STRING:
	case JSON_NUMBER | JSON_STRING | JSON_NULL:
		return ("a string or a number");
	case JSON_OBJECT:
		return ("an object");
	case JSON_OBJECT | JSON_NULL:
		return ("an object or null");
	case JSON_ARRAY:
		return ("an array");
	case JSON_ARRAY | JSON_NULL:
		return ("an array or null");
	default:
		return ("something else");
	}
}
