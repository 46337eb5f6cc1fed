/*
 * What a process takes of a processor, and how much of that while it had the core for itself
 *
 *	core_windows PID CPU INTERFACE MS
 *
 * A processor that a machine rents out is often one of two threads of a core, and whoever has the other one
 * costs it up to half of its speed, which no statistic shows. A loop of one subtraction and one branch does:
 * this program runs one for a microsecond, every 2 ms, on processor CPU, ahead of whatever runs there. Where
 * four of them on end took no longer than the fastest ones do, nobody else had the core between the middle two.
 *
 * Prints two lines, "all" and "alone": for how many milliseconds, nanoseconds of CPU time that PID took in
 * them, and bytes that the host gave INTERFACE to send. Ends after MS milliseconds.
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW_NS 2000000
#define LOOK_TURNS 3000
#define WINDOWS_MAX 10000

static const char *interface;
static char tasks_path[64];

static void give_up(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* How long the loop takes. */
static uint64_t look(void)
{
	uint64_t begin = now_ns();

	for (unsigned i = LOOK_TURNS; i > 0; i--)
		__asm__ volatile("" : "+r"(i));
	return now_ns() - begin;
}

/* CPU time of all threads so far. */
static uint64_t spent_ns(void)
{
	DIR *tasks = opendir(tasks_path);
	const struct dirent *entry;
	uint64_t all = 0;

	if (!tasks)
		give_up(tasks_path);
	while ((entry = readdir(tasks))) {
		char path[sizeof(tasks_path) + sizeof(entry->d_name) + 16];
		unsigned long long spent;
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s/schedstat", tasks_path, entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue; /* it has ended */
		if (fscanf(file, "%llu", &spent) == 1)
			all += spent;
		(void)fclose(file);
	}
	(void)closedir(tasks);
	return all;
}

/* What the interface has had to send so far. */
static uint64_t sent_bytes(void)
{
	FILE *file = fopen("/proc/net/dev", "re");
	unsigned long long bytes = 0;
	char line[512], name[64];

	if (!file)
		give_up("/proc/net/dev");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %63[^:]: %*u %*u %*u %*u %*u %*u %*u %*u %llu", name, &bytes) ==
			    2 &&
		    strcmp(name, interface) == 0)
			break;
		bytes = 0;
	}
	(void)fclose(file);
	return bytes;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The state at the beginning of a window. */
struct sample {
	uint64_t look_ns, spent_ns, sent;
};

static struct sample take_sample(void)
{
	(void)look(); /* what it needs comes into the caches */
	return (struct sample){ look(), spent_ns(), sent_bytes() };
}

static void wait_for(struct timespec *next)
{
	next->tv_nsec += WINDOW_NS;
	if (next->tv_nsec >= 1000000000) {
		next->tv_nsec -= 1000000000;
		next->tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL) == EINTR)
		;
}

/* What a look takes that has the core for itself: the hundredth part of the fastest ones does. */
static uint64_t undisturbed_ns(const struct sample *samples, size_t count)
{
	static uint64_t sorted[WINDOWS_MAX + 1];

	for (size_t i = 0; i < count; i++)
		sorted[i] = samples[i].look_ns;
	qsort(sorted, count, sizeof(sorted[0]), by_time);
	return sorted[count / 100];
}

/* Also a look before and after: a core that is taken and let go all the time is nobody's. */
static bool is_alone(const struct sample *samples, size_t windows, size_t at, uint64_t look_ns_max)
{
	if (at == 0 || at + 1 == windows)
		return false;
	for (size_t i = at - 1; i <= at + 2; i++) {
		if (samples[i].look_ns > look_ns_max)
			return false;
	}
	return true;
}

/* Of all windows, or with a limit, of those alone. */
static void print_sum(const char *name, const struct sample *samples, size_t windows,
		      uint64_t look_ns_max)
{
	uint64_t spent = 0, sent = 0;
	size_t count = 0;

	for (size_t i = 0; i < windows; i++) {
		if (look_ns_max > 0 && !is_alone(samples, windows, i, look_ns_max))
			continue;
		spent += samples[i + 1].spent_ns - samples[i].spent_ns;
		sent += samples[i + 1].sent - samples[i].sent;
		count++;
	}
	(void)printf("%s %zu %llu %llu\n", name, count * WINDOW_NS / 1000000,
		     (unsigned long long)spent, (unsigned long long)sent);
}

int main(int argc, char **argv)
{
	static struct sample samples[WINDOWS_MAX + 1];
	const struct sched_param first = { .sched_priority = 1 };
	size_t windows = argc == 5 ? (size_t)atol(argv[4]) * 1000000 / WINDOW_NS : 0;
	struct timespec next;
	cpu_set_t cpus;

	if (windows == 0 || windows > WINDOWS_MAX) {
		(void)fprintf(stderr, "usage: core_windows PID CPU INTERFACE MS (at most %d)\n",
			      WINDOWS_MAX * (WINDOW_NS / 1000000));
		return 2;
	}
	(void)snprintf(tasks_path, sizeof(tasks_path), "/proc/%s/task", argv[1]);
	interface = argv[3];
	CPU_ZERO(&cpus);
	CPU_SET((unsigned)atol(argv[2]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0 ||
	    sched_setscheduler(0, SCHED_FIFO, &first) < 0)
		give_up("core_windows: cannot go ahead of others");

	(void)clock_gettime(CLOCK_MONOTONIC, &next);
	for (size_t i = 0; i <= windows; i++) {
		wait_for(&next);
		samples[i] = take_sample();
	}
	print_sum("all", samples, windows, 0);
	print_sum("alone", samples, windows, undisturbed_ns(samples, windows + 1) * 3 / 2);
	return 0;
}
