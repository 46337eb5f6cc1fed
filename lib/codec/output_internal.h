/* The writers behind output_write(); failed appends stay in @to. */
#pragma once

#include "codec/output.h"

void output_cbor(const json_t *value, struct text *to);
int output_yaml(const json_t *value, struct text *to);
int output_toml(const json_t *value, bool pretty, struct text *to, struct fault *fault);

/* Appends the shortest decimal form that reads as the same number, always with a point: "0.1",
 * "1.0e+20". */
void output_real(double value, struct text *to);
