/*
 * Runs a fuzz target over the files of its corpus, in the normal suite.
 *
 * Usage: <target> DIRECTORY. A missing directory is an error: a target without a corpus tests nothing.
 */
#include <dirent.h>
#include <stdint.h>

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *directory, const char *name)
{
	cleanup_free char *path = NULL;
	cleanup_free uint8_t *data = NULL;
	long size;
	FILE *file;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return -ENOMEM;
	file = fopen(path, "rbe");
	if (!file)
		return -errno;
	(void)fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	data = malloc(size > 0 ? (size_t)size : 1);
	if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) {
		(void)fclose(file);
		return -EIO;
	}
	(void)fclose(file);
	(void)LLVMFuzzerTestOneInput(data, (size_t)size);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
	const struct dirent *entry;
	int count = 0;

	if (!directory) {
		(void)fprintf(stderr, "no corpus at %s\n", argc == 2 ? argv[1] : "?");
		return 1;
	}
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		if (run_file(argv[1], entry->d_name) < 0) {
			(void)fprintf(stderr, "cannot read %s\n", entry->d_name);
			return 1;
		}
		count++;
	}
	(void)closedir(directory);
	(void)printf("%d inputs\n", count);
	return count > 0 ? 0 : 1;
}
