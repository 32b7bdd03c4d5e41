#ifndef FLAGTALLY_PAGE_VIEW_H
#define FLAGTALLY_PAGE_VIEW_H

#include "fcgi/health.h"
#include "fcgi/page_frame.h"
#include "lib/report/report.h"

/* Hours that an application and a feature have beside the chosen span. */
#define PAGE_VIEW_HOURS 48

/**
 * page_view_applications(view, found):
 * page_view_features(view, recent, found, sdks):
 * page_view_stales(view, found):
 * page_view_sdks(view, found):
 * page_view_edges(view, found):
 * page_view_health(view, health):
 * Write a whole page: with applications; features of one application, or one
 * feature if the query has one; stale features; SDKs; instances of Edge; or
 * the state of Redis, the spool and dropped counts.  ${recent} are the
 * hours that features have behind the periods of the span, or NULL.
 */
void page_view_applications(const struct page_view * view,
    const struct report_applications * found);
void page_view_features(const struct page_view * view,
    const struct report_span * recent, const struct report_features * found,
    const struct report_sdks * sdks);
void page_view_stales(const struct page_view * view,
    const struct report_stales * found);
void page_view_sdks(const struct page_view * view,
    const struct report_sdks * found);
void page_view_edges(const struct page_view * view,
    const struct report_edges * found);
void page_view_health(const struct page_view * view,
    const struct health * health);

#endif
