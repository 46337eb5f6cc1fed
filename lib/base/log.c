#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>

#include "base/text.h"

static struct {
	const char *program;
	int max_level;
	bool journal;
} log_state = { .program = "", .max_level = LOG_INFO };

void log_init(const char *program, int max_level)
{
	log_state.program = program;
	log_state.max_level = max_level;
	log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

static const char *level_word(int level)
{
	switch (level) {
	case LOG_ERR:
		return "error: ";
	case LOG_WARNING:
		return "warning: ";
	case LOG_DEBUG:
		return "debug: ";
	default:
		return "";
	}
}

void log_write(int level, int error, const char *format, ...)
{
	CLEANUP(text_done) struct text line = { .max = 8192 };
	int saved = errno;
	va_list args;

	if (level > log_state.max_level)
		return;
	if (log_state.journal)
		text_printf(&line, "<%d>", level);
	else
		text_printf(&line, "%s: %s", log_state.program, level_word(level));
	va_start(args, format);
	text_vprintf(&line, format, args);
	va_end(args);
	if (error < 0)
		text_printf(&line, ": %s", strerror(-error));
	text_append_char(&line, '\n');
	if (text_error(&line) == 0)
		(void)!write(STDERR_FILENO, line.data, line.size);
	errno = saved;
}
