#include <stdint.h>
#include <string.h>

#include "lib/config/edit_distance.h"

size_t
edit_distance_of(const char * a, const char * b)
{
	size_t row[64];
	size_t length = strlen(b);
	size_t i, j, left, above;

	if (length >= sizeof(row) / sizeof(row[0]))
		return (SIZE_MAX);
	for (j = 0; j <= length; j++)
		row[j] = j;
	for (i = 0; a[i] != '\0'; i++) {
		left = row[0]++;
		for (j = 1; j <= length; j++) {
			above = row[j];
			if (a[i] != b[j - 1])
				left++;
			if (left > above + 1)
				left = above + 1;
			if (left > row[j - 1] + 1)
				left = row[j - 1] + 1;
			row[j] = left;
			left = above;
		}
	}
	return (row[length]);
}
