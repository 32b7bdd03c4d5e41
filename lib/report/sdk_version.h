#ifndef FLAGTALLY_SDK_VERSION_H
#define FLAGTALLY_SDK_VERSION_H

#include "lib/base/arena.h"
#include "lib/base/text.h"

/**
 * sdk_version_read(arena, json):
 * Return the member sdkVersion of a registration, a JSON object, copied into
 * ${arena}; an empty text if it is missing or the JSON is invalid.
 */
struct text sdk_version_read(struct arena * arena, struct text json);

#endif
