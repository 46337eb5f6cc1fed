/*
 * Log of a program, to stderr
 *
 * Lines carry the level that journald understands ("<4>") where stderr is the journal, and a word
 * for it elsewhere. Libraries do not log, programs do. Never pass a secret.
 */
#pragma once

#include <syslog.h>

/* Lines below @max_level in urgency are left out; the default is LOG_INFO. @program is kept. */
void log_init(const char *program, int max_level);

/* @error: a negative errno whose text is appended, or 0. */
void log_write(int level, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_ERR, 0, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, 0, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, 0, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, 0, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, 0, __VA_ARGS__)
#define log_error_errno(error, ...) log_write(LOG_ERR, (error), __VA_ARGS__)
#define log_warning_errno(error, ...) log_write(LOG_WARNING, (error), __VA_ARGS__)
