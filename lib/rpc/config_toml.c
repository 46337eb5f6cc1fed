/*
 * The part of TOML that configuration needs: bare and quoted keys, strings on one line, integers,
 * booleans, arrays and [tables].
 */
#include <string.h>

#include "base/text.h"
#include "rpc/config.h"

struct parser {
	const char *at;
	const char *end;
	size_t line;
	const char *why; /* the parse failed */
};

static int refuse(struct parser *p, const char *why)
{
	if (!p->why)
		p->why = why;
	return -EBADMSG;
}

static bool take(struct parser *p, char c)
{
	if (p->at == p->end || *p->at != c)
		return false;
	p->at++;
	return true;
}

static bool take_word(struct parser *p, const char *word)
{
	size_t size = strlen(word);

	if ((size_t)(p->end - p->at) < size || memcmp(p->at, word, size) != 0)
		return false;
	p->at += size;
	return true;
}

static void skip_spaces(struct parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t'))
		p->at++;
}

/* Spaces, comments and line ends. */
static void skip_blank(struct parser *p)
{
	while (p->at < p->end) {
		if (*p->at == '#')
			while (p->at < p->end && *p->at != '\n')
				p->at++;
		else if (*p->at == '\n')
			p->line++, p->at++;
		else if (*p->at == ' ' || *p->at == '\t' || *p->at == '\r')
			p->at++;
		else
			return;
	}
}

/* Nothing but a comment may follow on a line. */
static int end_line(struct parser *p)
{
	skip_spaces(p);
	if (p->at == p->end || *p->at == '#' || *p->at == '\n' || *p->at == '\r')
		return 0;
	return refuse(p, "something follows the value");
}

static int take_escape(struct parser *p, struct text *to)
{
	static const char names[] = "btnfr\"\\", meanings[] = "\b\t\n\f\r\"\\";
	const char *name = p->at < p->end ? strchr(names, *p->at) : NULL;

	if (!name || !*name)
		return refuse(p, "an escape in a string is not known");
	text_append_char(to, meanings[name - names]);
	p->at++;
	return 0;
}

/* A string whose opening quote was taken. */
static int take_string(struct parser *p, char quote, struct text *to)
{
	text_append_bytes(to, NULL, 0);
	while (p->at < p->end && *p->at != '\n' && *p->at != '\0') {
		if (take(p, quote))
			return text_error(to);
		if (quote == '"' && take(p, '\\')) {
			if (take_escape(p, to) < 0)
				return -EBADMSG;
			continue;
		}
		text_append_char(to, *p->at++);
	}
	return refuse(p, "a string has no end");
}

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static int take_key(struct parser *p, struct text *to)
{
	if (take(p, '"'))
		return take_string(p, '"', to);
	if (take(p, '\''))
		return take_string(p, '\'', to);
	while (p->at < p->end && is_bare(*p->at))
		text_append_char(to, *p->at++);
	return to->size > 0 ? text_error(to) : refuse(p, "a key is expected");
}

static int take_integer(struct parser *p, json_t **ret)
{
	bool negative = take(p, '-');
	json_int_t number = 0;
	size_t digits = 0;

	for (; p->at < p->end && *p->at >= '0' && *p->at <= '9' && digits < 18; digits++)
		number = number * 10 + (*p->at++ - '0');
	if (digits == 0)
		return refuse(p,
			      "a value is expected: a string in quotes, a number, true or false");
	*ret = json_integer(negative ? -number : number);
	return *ret ? 0 : -ENOMEM;
}

static int take_value(struct parser *p, unsigned depth, json_t **ret);

static int take_items(struct parser *p, unsigned depth, json_t *list)
{
	for (;;) {
		json_t *item = NULL;
		int r;

		skip_blank(p);
		if (take(p, ']'))
			return 0;
		r = take_value(p, depth, &item);
		if (r < 0)
			return r;
		if (json_array_append_new(list, item) < 0)
			return -ENOMEM;
		skip_blank(p);
		if (!take(p, ',') && (p->at == p->end || *p->at != ']'))
			return refuse(p, "an array has no end");
	}
}

static int take_array(struct parser *p, unsigned depth, json_t **ret)
{
	json_t *list;
	int r;

	if (depth == CONFIG_DEPTH_MAX)
		return refuse(p, "is nested too deep");
	list = json_array();
	r = list ? take_items(p, depth + 1, list) : -ENOMEM;
	if (r < 0) {
		json_decref(list);
		return r;
	}
	*ret = list;
	return 0;
}

static int take_value(struct parser *p, unsigned depth, json_t **ret)
{
	CLEANUP(text_done) struct text string = { 0 };
	int r;

	if (take(p, '['))
		return take_array(p, depth, ret);
	if (take_word(p, "true") || take_word(p, "false")) {
		*ret = json_boolean(p->at[-2] == 'u');
		return 0;
	}
	if (!take(p, '"') && !take(p, '\''))
		return take_integer(p, ret);
	r = take_string(p, p->at[-1], &string);
	if (r < 0)
		return r;
	*ret = json_string(text_string(&string));
	return *ret ? 0 : refuse(p, "a string is not UTF-8");
}

/* "[name]": what follows belongs to a table of its own. */
static int take_table(struct parser *p, json_t *root, json_t **ret_table)
{
	CLEANUP(text_done) struct text name = { 0 };
	json_t *table;
	int r;

	skip_spaces(p);
	r = take_key(p, &name);
	if (r < 0)
		return r;
	skip_spaces(p);
	if (!take(p, ']'))
		return refuse(p, "a table's name ends with ]");
	table = json_object();
	if (!table || json_object_set_new(root, text_string(&name), table) < 0)
		return refuse(p, "a key is not UTF-8");
	*ret_table = table;
	return end_line(p);
}

static int take_member(struct parser *p, json_t *table)
{
	CLEANUP(text_done) struct text key = { 0 };
	json_t *value = NULL;
	int r = take_key(p, &key);

	if (r < 0)
		return r;
	skip_spaces(p);
	if (!take(p, '='))
		return refuse(p, "a key is followed by =");
	skip_spaces(p);
	r = take_value(p, 0, &value);
	if (r < 0)
		return r;
	if (json_object_set_new(table, text_string(&key), value) < 0)
		return refuse(p, "a key is not UTF-8");
	return end_line(p);
}

int config_parse_toml(const char *bytes, size_t size, json_t **ret, struct fault *fault)
{
	struct parser p = { .at = bytes, .end = bytes + size, .line = 1 };
	json_t *root = json_object(), *table = root;
	int r = root ? 0 : -ENOMEM;

	for (skip_blank(&p); r == 0 && p.at < p.end; skip_blank(&p))
		r = take(&p, '[') ? take_table(&p, root, &table) : take_member(&p, table);
	if (r == 0) {
		*ret = root;
		return 0;
	}
	json_decref(root);
	if (p.why)
		(void)fault_set(fault, FAULT_DESERIALIZATION, "%s at line %zu", p.why, p.line);
	else
		(void)fault_set_errno(fault, r, FAULT_DESERIALIZATION, "parsing TOML");
	return r;
}
