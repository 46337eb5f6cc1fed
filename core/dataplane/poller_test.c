#include "dataplane/poller.h"

#include <sched.h>
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

/* In place of the C library's: how often the processor was given away, and for how long each time. */
static unsigned yields;
static uint64_t away_ns;
static bool rounds_have_many;

int sched_yield(void)
{
	const struct timespec away = { .tv_nsec = (long)away_ns };

	yields++;
	if (away_ns > 0)
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &away, NULL);
	return 0;
}

/* Turns of which each comes a moment after the one before. */
static void on_moment(struct poller_source *source, uint32_t events)
{
	struct exchange *e = container_of(source, struct exchange, sources[0]);
	const struct itimerspec soon = { .it_value.tv_nsec = 100000 };

	(void)events;
	read_event(source->fd);
	e->turns++;
	if (rounds_have_many)
		poller_rest(&e->poller);
	if ((yields > 0 || rounds_have_many) && e->turns >= TURNS)
		poller_stop(&e->poller);
	assert_int_equal(timerfd_settime(source->fd, 0, &soon, NULL), 0);
}

static void run_moments(struct exchange *e)
{
	const struct itimerspec soon = { .it_value.tv_nsec = 100000 };

	assert_int_equal(poller_init(&e->poller), 0);
	e->sources[0] = (struct poller_source){ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC),
						EPOLLIN, on_moment };
	assert_int_equal(poller_add(&e->poller, &e->sources[0]), 0);
	assert_int_equal(timerfd_settime(e->sources[0].fd, 0, &soon, NULL), 0);
	yields = 0;
	assert_int_equal(poller_run(&e->poller), 0);
	(void)close(e->sources[0].fd);
	poller_done(&e->poller);
}

/* On however slow a machine, some turns come soon after each other. */
static void test_it_looks_before_it_sleeps(void **state)
{
	struct exchange e = { 0 };

	(void)state;
	run_moments(&e);
	assert_true(yields > 0);
}

/* Where packets come in crowds, there is no hurry for the next one. */
static void test_it_does_not_look_after_rounds_of_many_packets(void **state)
{
	struct exchange e = { 0 };

	(void)state;
	rounds_have_many = true;
	run_moments(&e);
	rounds_have_many = false;
	assert_int_equal(yields, 0);
}

/* Each time that somebody else has the processor for long costs a packet that much. */
static void test_it_does_not_look_where_others_want_the_processor(void **state)
{
	struct exchange e = { 0 };
	uint64_t begin = clock_monotonic_ns(), tenths;

	(void)state;
	away_ns = 3 * NS_PER_MS;
	run_moments(&e);
	away_ns = 0;
	tenths = (clock_monotonic_ns() - begin) / (100 * NS_PER_MS);
	assert_true(yields <= 5 + tenths);
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
		cmocka_unit_test(test_it_looks_before_it_sleeps),
		cmocka_unit_test(test_it_does_not_look_after_rounds_of_many_packets),
		cmocka_unit_test(test_it_does_not_look_where_others_want_the_processor),
		cmocka_unit_test(test_it_sleeps_where_nothing_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
