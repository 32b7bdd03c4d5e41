#ifndef FLAGTALLY_QUANTITY_H
#define FLAGTALLY_QUANTITY_H

#include <stdint.h>

/* Numbers with units, as a person writes them in a configuration. */
enum quantity {
	QUANTITY_COUNT,		/* No unit. */
	QUANTITY_SIZE,		/* Bytes: with K, M or G, 1024 and so on. */
	QUANTITY_DURATION,	/* Milliseconds: with ms, s, m, h or d; s. */
	QUANTITY_MODE,		/* Octal digits. */
};

/* No quantity is larger. */
#define QUANTITY_MAX ((uint64_t)1 << 52)

/**
 * quantity_parse(text, kind, least, most, number):
 * Read ${text} into ${number}, which must come to ${least} to ${most}.  Return
 * NULL, or what is wrong as a static text that follows its name.
 */
const char * quantity_parse(const char * text, enum quantity kind,
    uint64_t least, uint64_t most, uint64_t * number);

#endif
