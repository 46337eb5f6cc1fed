#include "dataplane/poller.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/clock.h"
#include "base/test.h"

#define TURNS 1000

/* Two events that cause each other, as a request and its answer do. */
struct exchange {
	struct poller poller;
	struct poller_source sources[2];
	unsigned turns;
};

static void write_event(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void read_event(int fd)
{
	uint64_t count;

	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
}

static void on_second(struct poller_source *source, uint32_t events)
{
	struct exchange *e = container_of(source, struct exchange, sources[1]);

	(void)events;
	read_event(source->fd);
	if (++e->turns == TURNS)
		poller_stop(&e->poller);
	else
		write_event(e->sources[0].fd);
}

static void on_first(struct poller_source *source, uint32_t events)
{
	struct exchange *e = container_of(source, struct exchange, sources[0]);

	(void)events;
	read_event(source->fd);
	write_event(e->sources[1].fd);
}

static void begin(struct exchange *e)
{
	assert_int_equal(poller_init(&e->poller), 0);
	for (int i = 0; i < 2; i++) {
		e->sources[i] = (struct poller_source){ eventfd(0, EFD_CLOEXEC), EPOLLIN,
							i == 0 ? on_first : on_second };
		assert_true(e->sources[i].fd >= 0);
		assert_int_equal(poller_add(&e->poller, &e->sources[i]), 0);
	}
}

static void end(struct exchange *e)
{
	for (int i = 0; i < 2; i++)
		(void)close(e->sources[i].fd);
	poller_done(&e->poller);
}

static void test_each_event_is_dispatched_once(void **state)
{
	struct exchange e = { 0 };

	(void)state;
	begin(&e);
	write_event(e.sources[0].fd);
	assert_int_equal(poller_run(&e.poller), 0);
	assert_int_equal(e.turns, TURNS);
	end(&e);
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Whatever came just before: looking for the next event ends, and takes no processor until it comes. */
static void test_it_sleeps_where_nothing_comes(void **state)
{
	const struct itimerspec later = { .it_value.tv_nsec = 400 * (long)NS_PER_MS };
	struct exchange e = { 0 };
	uint64_t before;

	(void)state;
	begin(&e);
	write_event(e.sources[0].fd);
	assert_int_equal(poller_run(&e.poller), 0);

	(void)close(e.sources[1].fd);
	e.sources[1].fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	assert_int_equal(poller_add(&e.poller, &e.sources[1]), 0);
	assert_int_equal(timerfd_settime(e.sources[1].fd, 0, &later, NULL), 0);
	e.turns = TURNS - 1;
	e.poller.stopped = false;
	before = cpu_ns();
	assert_int_equal(poller_run(&e.poller), 0);
	assert_int_equal(e.turns, TURNS);
	assert_true(cpu_ns() - before < 100 * NS_PER_MS);
	end(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_event_is_dispatched_once),
		cmocka_unit_test(test_it_sleeps_where_nothing_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
