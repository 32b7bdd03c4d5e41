#include <string.h>
#include <unictype.h>
#include <unistr.h>
#include <uniwidth.h>

#include "lib/base/utf8.h"

bool
utf8_is_valid(const char * text, size_t length)
{

	return (u8_check((const uint8_t *)text, length) == NULL);
}

size_t
utf8_decode(const char * text, size_t length, uint32_t * code)
{
	ucs4_t character;
	int size = u8_mbtoucr(&character, (const uint8_t *)text, length);

	*code = character;
	return (size > 0 ? (size_t)size : 0);
}

size_t
utf8_printable(const char * text, size_t length, int * width)
{
	uint32_t code;
	size_t size = utf8_decode(text, length, &code);

	if (size == 0 || uc_is_general_category_withtable(code,
	    UC_CATEGORY_MASK_C | UC_CATEGORY_MASK_Zl | UC_CATEGORY_MASK_Zp))
		return (0);
	*width = uc_width(code, "UTF-8");
	return (*width < 0 ? 0 : size);
}

void
utf8_trim(char * text)
{
	size_t length = strlen(text);
	size_t start = length;
	ucs4_t character;

	/* The last byte that is not a continuation byte begins a character. */
	while (start > 0 && ((unsigned char)text[--start] & 0xc0) == 0x80)
		continue;
	/* -2: the character is incomplete. */
	if (length > 0 && u8_mbtoucr(&character, (const uint8_t *)text + start,
	    length - start) == -2)
		text[start] = '\0';
}
