/*
 * A clock that a test sets: start-wg-clock is start-wg with this in place of the kernel's
 *
 * The file that START_WG_CLOCK names holds three numbers of 64 bit, which may change at any time:
 * how many seconds of monotonic time pass in one, and what is added to monotonic and to real time, in
 * ns. So a test sees sessions renewed in seconds, and clocks that jump. A timer that is set already
 * does not notice a change.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"

struct moved_clock {
	int64_t rate;
	int64_t monotonic_ns;
	int64_t realtime_ns;
};

static const volatile struct moved_clock *moved;
static int64_t base_ns; /* the rate counts from here */

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *ret_old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *ret_old);

static int64_t to_ns(const struct timespec *time)
{
	return (int64_t)time->tv_sec * (int64_t)NS_PER_S + time->tv_nsec;
}

static struct timespec from_ns(int64_t ns)
{
	return (struct timespec){ ns / (int64_t)NS_PER_S, ns % (int64_t)NS_PER_S };
}

/* Before main(), while the program may still open files. */
__attribute__((constructor)) static void open_clock(void)
{
	const char *path = getenv("START_WG_CLOCK");
	struct timespec now;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert(fd >= 0);
	moved = mmap(NULL, sizeof(*moved), PROT_READ, MAP_SHARED, fd, 0);
	assert(moved != MAP_FAILED);
	(void)close(fd);
	(void)__real_clock_gettime(CLOCK_BOOTTIME, &now);
	base_ns = to_ns(&now);
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	int r = __real_clock_gettime(id, ret);

	if (r < 0 || !moved)
		return r;
	if (id == CLOCK_BOOTTIME)
		*ret = from_ns(base_ns + (to_ns(ret) - base_ns) * moved->rate +
			       moved->monotonic_ns);
	else if (id == CLOCK_REALTIME)
		*ret = from_ns(to_ns(ret) + moved->realtime_ns);
	return 0;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *ret_old)
{
	struct itimerspec real = *when;
	int64_t ns;

	if (!moved)
		return __real_timerfd_settime(fd, flags, when, ret_old);
	assert(flags == TFD_TIMER_ABSTIME && to_ns(&when->it_interval) == 0);
	ns = base_ns + (to_ns(&when->it_value) - moved->monotonic_ns - base_ns) / moved->rate;
	real.it_value = from_ns(ns > 0 ? ns : 1);
	return __real_timerfd_settime(fd, flags, &real, ret_old);
}
