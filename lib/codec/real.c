#include <math.h>

#include "output_internal.h"

/*
 * YAML 1.1 wants the point also before an exponent, and TOML wants digits on both sides of it.
 */
void output_real(double value, struct text *to)
{
	char digits[40];
	size_t mantissa;

	for (int precision = 15; precision <= 17; precision++) {
		(void)snprintf(digits, sizeof(digits), "%.*g", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	mantissa = strcspn(digits, "e");
	text_append_bytes(to, digits, mantissa);
	if (!memchr(digits, '.', mantissa))
		text_append(to, ".0");
	text_append(to, digits + mantissa);
}
