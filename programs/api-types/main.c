/*
 * api-types: the types of the daemon's methods, for the pages
 *
 *	api-types FILE...
 *
 * Part of the build. A file that is as it should be is left alone, so that nothing is built again for it.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "rpc/typescript.h"
#include "tunnel/tunnel.h"

static bool is_in(const char *path, const struct text *wanted)
{
	char before[4096];
	const char *at = text_string(wanted);
	FILE *file = fopen(path, "re");
	bool same = file != NULL;
	size_t count;

	while (same && (count = fread(before, 1, sizeof(before), file)) > 0) {
		same = strlen(at) >= count && memcmp(at, before, count) == 0;
		at += same ? count : 0;
	}
	if (file)
		(void)fclose(file);
	return same && *at == '\0';
}

static int write_to(const char *path, const struct text *wanted)
{
	FILE *file = fopen(path, "we");

	if (!file || fputs(text_string(wanted), file) < 0) {
		perror(path);
		if (file)
			(void)fclose(file);
		return 1;
	}
	if (fclose(file) == 0)
		return 0;
	perror(path);
	return 1;
}

int main(int argc, char **argv)
{
	CLEANUP(text_done) struct text types = { 0 };
	int status = 0;

	rpc_typescript(&tunnel_api, "@shared/patch", &types);
	if (text_error(&types) < 0) {
		(void)fprintf(stderr, "api-types: out of memory\n");
		return 1;
	}
	for (int i = 1; i < argc; i++)
		if (!is_in(argv[i], &types))
			status |= write_to(argv[i], &types);
	return status;
}
