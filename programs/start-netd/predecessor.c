#include "predecessor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"

#define LOCK_DIRECTORY "/run/startos"
#define LOCK_PATH LOCK_DIRECTORY "/netd.lock"

static void on_alarm(int number)
{
}

/* Waits for the lock, but not for ever. */
static int wait_for(int fd, struct flock *lock)
{
	const struct sigaction interrupt = { .sa_handler = on_alarm }; /* no SA_RESTART */
	struct sigaction before;
	int r;

	if (sigaction(SIGALRM, &interrupt, &before) < 0)
		return -errno;
	(void)alarm(PREDECESSOR_WAIT_S);
	r = fcntl(fd, F_SETLKW, lock) < 0 ? -errno : 0;
	(void)alarm(0);
	(void)sigaction(SIGALRM, &before, NULL);
	return r;
}

int predecessor_await(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd, r;

	if (mkdir(LOCK_DIRECTORY, 0755) < 0 && errno != EEXIST) {
		log_error_errno(-errno, "cannot make the directory " LOCK_DIRECTORY);
		return -errno;
	}
	/* Open to the end: the lock is this process', whose children do not inherit it. */
	fd = open(LOCK_PATH, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		log_error_errno(-errno, "cannot open " LOCK_PATH);
		return -errno;
	}
	r = wait_for(fd, &lock);
	if (r == -EINTR && fcntl(fd, F_GETLK, &lock) == 0)
		log_error("another start-netd runs and does not end, as process %d",
			  (int)lock.l_pid);
	else if (r < 0)
		log_error_errno(r, "cannot lock " LOCK_PATH);
	return r;
}
