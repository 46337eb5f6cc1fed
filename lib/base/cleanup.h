/*
 * Cleanup on scope exit
 *
 * cleanup_free and cleanup_close are attributes for local variables, which have to be initialised
 * where they are declared. DEFINE_CLEANUP() makes one for a destructor: DEFINE_CLEANUP(struct lease
 * *, lease_free) allows `CLEANUP(lease_free) struct lease *lease = NULL;`.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/banned.h"

#define CLEANUP(destructor) __attribute__((cleanup(destructor##_cleanup)))

/* For destructors that take the variable's value and ignore NULL. */
#define DEFINE_CLEANUP(type, destructor)                                                           \
	static inline void destructor##_cleanup(type *variable)                                    \
	{                                                                                          \
		if (*variable)                                                                     \
			(void)destructor(*variable);                                               \
	}                                                                                          \
	struct destructor##_cleanup_defined

/* For destructors of embedded objects (x_done), which take the variable's address. */
#define DEFINE_CLEANUP_DONE(type, destructor)                                                      \
	static inline void destructor##_cleanup(type *variable)                                    \
	{                                                                                          \
		destructor(variable);                                                              \
	}                                                                                          \
	struct destructor##_cleanup_defined

static inline void cleanup_free_pointer(void *variable)
{
	free(*(void **)variable);
}

static inline void cleanup_close_fd(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}

#define cleanup_free __attribute__((cleanup(cleanup_free_pointer)))
#define cleanup_close __attribute__((cleanup(cleanup_close_fd)))

/* Moves a pointer or descriptor out of its variable, so that its cleanup has nothing left to do. */
#define TAKE_PTR(variable)                                                                         \
	({                                                                                         \
		typeof(variable) taken_ = (variable);                                              \
		(variable) = NULL;                                                                 \
		taken_;                                                                            \
	})
#define TAKE_FD(variable)                                                                          \
	({                                                                                         \
		int taken_ = (variable);                                                           \
		(variable) = -EBADF;                                                               \
		taken_;                                                                            \
	})

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)(((char *)(pointer)) - offsetof(type, member)))
