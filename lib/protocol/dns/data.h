/*
 * Records as people write them: the names of types, and data as text
 *
 * Of the four types that the document holds. A TXT record is one text, cut into strings of 255 bytes on
 * the wire; how it was cut before is not kept.
 */
#pragma once

#include "dns/records.h"

#define DNS_TEXT_MAX 1024 /* bytes of a TXT record's text */
#define DNS_DATA_TEXT_MAX (DNS_TEXT_MAX + 1) /* of any data's text, with the NUL */

/* A type by its name ("A", in any case), of those in common use. Returns 0 where it is unknown. */
uint16_t dns_type_parse(const char *text);

/* "A", "AAAA", "CNAME", "TXT"; NULL: of no such type may a record of our own be. */
const char *dns_type_local(uint16_t type);

/* Reads data from text. Returns its size in @to, or -EINVAL, also for other types. */
int dns_data_parse(uint16_t type, const char *text, uint8_t to[DNS_DATA_MAX]);

/* Writes it as text. Returns 0, or -EINVAL where it has no text form: other types, a TXT record with
 * control characters or without UTF-8, names that dns_name_parse() would not read. */
int dns_data_format(uint16_t type, const uint8_t *data, size_t size, char to[DNS_DATA_TEXT_MAX]);
