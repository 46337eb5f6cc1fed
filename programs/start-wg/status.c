#include "status.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "dataplane/uapi_server.h"

#define ANSWER_MAX 65536

static int ask(const char *interface, struct text *answer)
{
	static const char end[] = "errno=0\n\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), UAPI_DIRECTORY "/%s.sock",
		       interface);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(fd, UAPI_STATUS, strlen(UAPI_STATUS), MSG_NOSIGNAL) < 0)
		return -errno;
	for (;;) {
		char part[4096];
		ssize_t size = recv(fd, part, sizeof(part), 0);

		if (size < 0)
			return -errno;
		if (size == 0)
			return -EPROTO;
		text_append_bytes(answer, part, (size_t)size);
		if (text_error(answer) < 0)
			return text_error(answer);
		if (answer->size >= 2 && memcmp(answer->data + answer->size - 2, "\n\n", 2) == 0)
			break;
	}
	if (answer->size < strlen(end) ||
	    strcmp(answer->data + answer->size - strlen(end), end) != 0)
		return -EOPNOTSUPP;
	answer->data[answer->size - strlen(end)] = '\0';
	return 0;
}

int status_print(const char *interface)
{
	CLEANUP(text_done) struct text answer = { .max = ANSWER_MAX };
	int r = ask(interface, &answer);

	if (r == -EOPNOTSUPP)
		log_error("%s is no interface of start-wg, or of an older one", interface);
	else if (r < 0)
		log_error_errno(r, "cannot ask for the status of %s", interface);
	else
		(void)fputs(answer.data, stdout);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
