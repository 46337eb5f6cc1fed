/*
 * Whether this build has sanitizers
 *
 * Their runtime maps memory by the terabyte, starts threads and traces the process when it ends. Limits
 * and filters that would stop it are left out where SANITIZED is 1.
 */
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif
