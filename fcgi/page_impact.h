#ifndef FLAGTALLY_PAGE_IMPACT_H
#define FLAGTALLY_PAGE_IMPACT_H

#include "fcgi/page_frame.h"
#include "lib/report/impact.h"

/**
 * page_impact_view(view, found):
 * Write a whole page with impact metrics: values of counters and gauges, and
 * quantiles and buckets of histograms.
 */
void page_impact_view(const struct page_view * view,
    const struct report_impact * found);

#endif
