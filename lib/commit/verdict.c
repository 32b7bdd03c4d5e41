#include <stddef.h>

#include "lib/base/log.h"
#include "lib/commit/verdict.h"

/* What became of the parts of one tally. */
struct parts {
	size_t applied;
	size_t refused;
};

static void
count_part(struct parts * parts, const struct tally_node * node)
{

	/* A node that was merged has its fate in the group's tally. */
	if (node->group != NULL)
		node = node->group;
	if (node->fate == FATE_REFUSED || node->fate == FATE_MIXED)
		parts->refused++;
	if (node->fate != FATE_REFUSED)
		parts->applied++;
}

/*
 * Redis refused parts of the group for good.  A tally of which nothing was
 * applied has failed, and its sender may try again.  If a part was applied,
 * trying again would count that part twice, so it stands, and what was refused
 * is lost; the log has said why.
 */
bool
verdict_stands(const struct tally * tally)
{
	const struct tally_node * environment, * node;
	struct parts parts = { 0, 0 };

	for (environment = tally->root->first; environment != NULL;
	    environment = environment->next) {
		bool impact = false;

		for (node = environment->first; node != NULL;
		    node = node->next) {
			impact = impact || node->kind == TALLY_METRIC;
			if (node->kind == TALLY_APPLICATION)
				count_part(&parts, node);
		}
		if (impact)
			count_part(&parts, environment);
	}
	if (parts.refused == 0)
		return (true);
	if (parts.applied == 0)
		return (false);
	log_error("%zu of %zu parts of a body are lost: Redis refused them",
	    parts.refused, parts.refused + parts.applied);
	return (true);
}
