#include "system/sysctl.h"

#include <fcntl.h>
#include <limits.h>

#include "base/cleanup.h"

static int open_parameter(const char *name, int flags)
{
	cleanup_free char *path = NULL;
	int fd;

	if (asprintf(&path, "/proc/sys/%s", name) < 0)
		return -ENOMEM;
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int sysctl_read(const char *name, int *ret)
{
	cleanup_close int fd = open_parameter(name, O_RDONLY);
	char text[32];
	char *end;
	ssize_t size;
	long value;

	if (fd < 0)
		return fd;
	size = read(fd, text, sizeof(text) - 1);
	if (size < 0)
		return -errno;
	text[size] = '\0';
	value = strtol(text, &end, 10);
	if (end == text || (*end != '\0' && *end != '\n') || value < INT_MIN || value > INT_MAX)
		return -EBADMSG;
	*ret = (int)value;
	return 0;
}

int sysctl_write(const char *name, int value)
{
	cleanup_close int fd = open_parameter(name, O_WRONLY);
	char text[16];
	int size = snprintf(text, sizeof(text), "%d\n", value);

	if (fd < 0)
		return fd;
	return write(fd, text, (size_t)size) < 0 ? -errno : 0;
}
