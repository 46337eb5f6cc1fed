#include "codec/pointer.h"

#include <stdint.h>
#include <string.h>

#include "codec/utf8.h"

/* The size of a pointer, or -EINVAL where it is no pointer at all. */
static ssize_t pointer_size(const char *pointer)
{
	size_t size = strnlen(pointer, POINTER_MAX + 1);

	if (size > POINTER_MAX || (size > 0 && pointer[0] != '/'))
		return -EINVAL;
	return (ssize_t)size;
}

bool pointer_valid(const char *pointer)
{
	ssize_t size = pointer_size(pointer);

	if (size < 0)
		return false;
	for (const char *at = pointer; *at; at++)
		if (*at == '~' && at[1] != '0' && at[1] != '1')
			return false;
	return utf8_valid(pointer, (size_t)size);
}

/*
 * Unescapes the token after the slash at @at to @token, which holds POINTER_MAX + 1 bytes. Returns
 * the slash that ends it or the end of the text, or NULL where an escape is wrong.
 */
static const char *next_token(const char *at, char *token)
{
	for (at++; *at && *at != '/'; at++) {
		if (*at != '~') {
			*token++ = *at;
			continue;
		}
		at++;
		if (*at != '0' && *at != '1')
			return NULL;
		*token++ = *at == '0' ? '~' : '/';
	}
	*token = '\0';
	return at;
}

int pointer_index(const char *token, size_t *ret)
{
	size_t index = 0;

	if (!token[0] || (token[0] == '0' && token[1]))
		return -EINVAL;
	for (const char *at = token; *at; at++) {
		if (*at < '0' || *at > '9' || index > SIZE_MAX / 10 - 1)
			return -EINVAL;
		index = index * 10 + (size_t)(*at - '0');
	}
	*ret = index;
	return 0;
}

/* The member of an object or the element of an array that an unescaped token names, or NULL. */
static json_t *member_of(const json_t *parent, const char *token)
{
	size_t index;

	if (json_is_object(parent))
		return json_object_get(parent, token);
	if (json_is_array(parent) && pointer_index(token, &index) == 0)
		return json_array_get(parent, index);
	return NULL;
}

json_t *pointer_get(const json_t *document, const char *pointer)
{
	char token[POINTER_MAX + 1];
	/* As jansson's accessors do: the constness is the caller's promise. */
	json_t *value = (json_t *)document;

	if (pointer_size(pointer) < 0)
		return NULL;
	while (value && *pointer) {
		pointer = next_token(pointer, token);
		if (!pointer)
			return NULL;
		value = member_of(value, token);
	}
	return value;
}

void pointer_append(struct text *to, const char *member)
{
	text_append_char(to, '/');
	while (*member) {
		size_t plain = strcspn(member, "~/");

		text_append_bytes(to, member, plain);
		member += plain;
		if (*member)
			text_append(to, *member++ == '~' ? "~0" : "~1");
	}
}

int pointer_split(const char *pointer, struct text *parent, struct text *token)
{
	char name[POINTER_MAX + 1];
	const char *slash;

	if (!*pointer || !pointer_valid(pointer))
		return -EINVAL;
	slash = strrchr(pointer, '/');
	(void)next_token(slash, name);
	text_append_bytes(parent, pointer, (size_t)(slash - pointer));
	text_append(token, name);
	if (text_error(parent) < 0)
		return text_error(parent);
	return text_error(token);
}
