#include "http/content.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

static const char spaces[] = " \t";

/* Whether the parameters of a coding, up to its comma, have a weight of 0. */
static bool is_refused(const char *parameters, const char *end)
{
	while (parameters < end && *parameters == ';') {
		parameters++;
		parameters += strspn(parameters, spaces);
		if ((*parameters == 'q' || *parameters == 'Q') && parameters[1] == '=')
			return strspn(parameters + 2, "0.") ==
			       strcspn(parameters + 2, " \t;,"); /* "0", "0.000" */
		parameters += strcspn(parameters, ";,");
	}
	return false;
}

enum verdict {
	UNMENTIONED,
	ACCEPTED,
	REFUSED,
};

static enum verdict look_for(const char *list, const char *coding)
{
	while (*list) {
		const char *start = list + strspn(list, " \t,");
		const char *end = start + strcspn(start, ",");
		size_t size = strcspn(start, " \t;,");
		const char *parameters = start + size;

		parameters += strspn(parameters, spaces);
		if (size == strlen(coding) && strncasecmp(start, coding, size) == 0)
			return is_refused(parameters, end) ? REFUSED : ACCEPTED;
		list = end;
	}
	return UNMENTIONED;
}

static bool accepts(const char *list, const char *coding)
{
	enum verdict verdict = list ? look_for(list, coding) : UNMENTIONED;

	if (list && verdict == UNMENTIONED)
		verdict = look_for(list, "*");
	return verdict == ACCEPTED;
}

/* The tag without the mark of a weak one. */
static const char *opaque(const char *etag)
{
	return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

/* Whether a list of entity tags has one, by the weak comparison. Our tags have no commas. */
static bool tag_matches(const char *list, const char *etag)
{
	size_t size = strlen(opaque(etag));

	while (list && *list) {
		const char *start = list + strspn(list, " \t,");

		if (*start == '*')
			return true;
		start = opaque(start);
		if (strncmp(start, opaque(etag), size) == 0 && strcspn(start + size, " \t,") == 0)
			return true;
		list = start + strcspn(start, ",");
	}
	return false;
}

/* Parses digits. Returns what follows them, or NULL where there are none or too many. */
static const char *parse_place(const char *text, uint64_t *ret)
{
	uint64_t place = 0;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18)
		return NULL;
	for (size_t i = 0; i < digits; i++)
		place = place * 10 + (uint64_t)(text[i] - '0');
	*ret = place;
	return text + digits;
}

enum range {
	RANGE_NONE, /* malformed, of another unit, or several: the whole is given */
	RANGE_PART,
	RANGE_OUTSIDE,
};

/* The last @suffix bytes. */
static enum range suffix_range(uint64_t suffix, size_t whole, size_t *ret_first, size_t *ret_size)
{
	if (suffix == 0 || whole == 0)
		return RANGE_OUTSIDE;
	*ret_size = suffix < whole ? (size_t)suffix : whole;
	*ret_first = whole - *ret_size;
	return RANGE_PART;
}

static enum range parse_range(const char *field, size_t whole, size_t *ret_first, size_t *ret_size)
{
	uint64_t first, last = UINT64_MAX;
	const char *at;

	if (!field || strncasecmp(field, "bytes=", 6) != 0)
		return RANGE_NONE;
	at = field + 6;
	if (*at == '-') {
		at = parse_place(at + 1, &last);
		return at && *at == '\0' ? suffix_range(last, whole, ret_first, ret_size)
					 : RANGE_NONE;
	}
	at = parse_place(at, &first);
	if (!at || *at++ != '-')
		return RANGE_NONE;
	if (*at != '\0') {
		at = parse_place(at, &last);
		if (!at || *at != '\0' || last < first)
			return RANGE_NONE;
	}
	if (first >= whole)
		return RANGE_OUTSIDE;
	if (last >= whole)
		last = whole - 1;
	*ret_first = (size_t)first;
	*ret_size = (size_t)(last - first) + 1;
	return RANGE_PART;
}

static void choose_part(const struct http_file *file, enum range range, size_t first, size_t size,
			struct http_content *ret)
{
	ret->whole = file->plain.size;
	ret->status = range == RANGE_PART ? 206 : 416;
	if (range != RANGE_PART)
		return;
	ret->first = first;
	ret->bytes = file->plain.bytes + first;
	ret->size = size;
}

static void choose_whole(const struct http_file *file, const char *accept_encoding,
			 struct http_content *ret)
{
	const struct http_blob *blob = &file->plain;

	if (file->brotli.bytes && accepts(accept_encoding, "br")) {
		blob = &file->brotli;
		ret->encoding = "br";
	} else if (file->gzip.bytes && accepts(accept_encoding, "gzip")) {
		blob = &file->gzip;
		ret->encoding = "gzip";
	}
	ret->status = blob->bytes ? 200 : 406;
	ret->bytes = blob->bytes;
	ret->size = blob->bytes ? blob->size : 0;
}

void http_content_choose(const struct http_file *file, const struct http_wish *wish,
			 struct http_content *ret)
{
	enum range range = RANGE_NONE;
	size_t first = 0, size = 0;

	*ret = (struct http_content){ 0 };
	if (tag_matches(wish->if_none_match, file->etag)) {
		ret->status = 304;
		return;
	}
	/* A range of something that has changed since is of no use: the whole is. */
	if (file->plain.bytes && (!wish->if_range || strcmp(wish->if_range, file->etag) == 0))
		range = parse_range(wish->range, file->plain.size, &first, &size);
	if (range == RANGE_NONE)
		choose_whole(file, wish->accept_encoding, ret);
	else
		choose_part(file, range, first, size, ret);
}

const struct http_file *http_file_find(const struct http_files *files, const char *path)
{
	for (const struct http_file *file = files->files; file->path; file++)
		if (strcmp(file->path, path) == 0)
			return file;
	return NULL;
}
