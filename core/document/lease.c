#include "document/lease.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/rfc3339.h"

#define NONCE_TEXT_SIZE (2 * LEASE_NONCE_SIZE + 1)

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };

const char *const lease_via_names[LEASE_VIAS + 1] = {
	[LEASE_PCP] = "pcp",
	[LEASE_NAT_PMP] = "nat-pmp",
	[LEASE_UPNP] = "upnp",
};

/* The first 32 random bits of the id are enough to tell one start from the next. */
static void read_boot(char ret[LEASE_BOOT_SIZE])
{
	cleanup_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, ret, LEASE_BOOT_SIZE - 1);

	ret[size < 0 ? 0 : size] = '\0';
}

void lease_clock_read(struct lease_clock *ret)
{
	static char boot[LEASE_BOOT_SIZE];

	if (boot[0] == '\0')
		read_boot(boot);
	memcpy(ret->boot, boot, sizeof(boot));
	ret->uptime_s = clock_monotonic_ns() / NS_PER_S;
	ret->unix_s = clock_realtime_ns() / NS_PER_S;
}

static const char *name_of(uint8_t protocol)
{
	return protocol == IPPROTO_UDP ? "udp" : "tcp";
}

static const json_t *term_of(const json_t *lease, uint8_t protocol)
{
	const json_t *term = json_object_get(lease, name_of(protocol));

	return json_is_object(term) ? term : NULL;
}

static const char *text_of(const json_t *term, const char *name)
{
	const char *text = json_string_value(json_object_get(term, name));

	return text ? text : "";
}

static uint64_t number_of(const json_t *term, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(term, name));
}

static uint64_t term_left(const json_t *term, const struct lease_clock *now)
{
	uint64_t seconds = number_of(term, "seconds"), end, at;

	if (!term)
		return 0;
	if (seconds == 0)
		return LEASE_ENDLESS;
	if (strcmp(text_of(term, "boot"), now->boot) == 0) {
		end = number_of(term, "uptime");
		at = now->uptime_s;
	} else {
		if (rfc3339_parse(text_of(term, "until"), &end) < 0)
			return 0;
		at = now->unix_s;
	}
	if (end <= at)
		return 0;
	return end - at < seconds ? end - at : seconds;
}

uint64_t lease_protocol_left(const json_t *lease, uint8_t protocol, const struct lease_clock *now)
{
	return term_left(term_of(lease, protocol), now);
}

uint64_t lease_left(const json_t *lease, const struct lease_clock *now)
{
	uint64_t left = 0;

	if (!json_is_object(lease))
		return LEASE_ENDLESS;
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		uint64_t one = lease_protocol_left(lease, protocols[i], now);

		left = one > left ? one : left;
	}
	return left;
}

bool lease_holds(const json_t *lease, uint8_t protocol, const struct lease_clock *now)
{
	return lease_protocol_left(lease, protocol, now) > 0;
}

static char *nonce_format(const uint8_t nonce[LEASE_NONCE_SIZE], char to[NONCE_TEXT_SIZE])
{
	for (size_t i = 0; i < LEASE_NONCE_SIZE; i++)
		(void)snprintf(to + 2 * i, 3, "%02x", nonce[i]);
	return to;
}

bool lease_has_nonce(const json_t *lease, uint8_t protocol, const uint8_t nonce[LEASE_NONCE_SIZE])
{
	char text[NONCE_TEXT_SIZE];

	return strcmp(text_of(term_of(lease, protocol), "nonce"), nonce_format(nonce, text)) == 0;
}

bool lease_is_foreign(const json_t *lease, const struct lease_clock *now)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		const json_t *term = term_of(lease, protocols[i]);

		if (term && number_of(term, "seconds") > 0 &&
		    strcmp(text_of(term, "boot"), now->boot) != 0)
			return true;
	}
	return false;
}

/* @granted: the bound of it; @left: how much of that is to come. Takes @nonce. */
static json_t *new_term(uint32_t granted, uint64_t left, json_t *nonce,
			const struct lease_clock *now)
{
	char until[RFC3339_SIZE];

	if (granted == 0)
		return json_pack("{s:i, s:s, s:i, s:n, s:o}", "seconds", 0, "boot", now->boot,
				 "uptime", 0, "until", "nonce", nonce);
	return json_pack("{s:I, s:s, s:I, s:s, s:o}", "seconds", (json_int_t)granted, "boot",
			 now->boot, "uptime", (json_int_t)(now->uptime_s + left), "until",
			 rfc3339_format(now->unix_s + left, until), "nonce", nonce);
}

/* Takes the terms. */
static json_t *new_lease(const char *via, json_t *tcp, json_t *udp)
{
	if (tcp && udp && json_is_null(tcp) && json_is_null(udp)) {
		json_decref(tcp);
		json_decref(udp);
		return json_null();
	}
	return json_pack("{s:s, s:o, s:o}", "via", via, "tcp", tcp, "udp", udp);
}

static json_t *copy_term(const json_t *lease, uint8_t protocol)
{
	const json_t *term = term_of(lease, protocol);

	return term ? json_deep_copy(term) : json_null();
}

json_t *lease_with(const json_t *lease, const struct lease_grant *grant,
		   const struct lease_clock *now)
{
	char text[NONCE_TEXT_SIZE];
	json_t *nonce = grant->nonce ? json_string(nonce_format(grant->nonce, text)) : json_null();
	json_t *term = new_term(grant->seconds, grant->seconds, nonce, now);
	bool udp = grant->protocol == IPPROTO_UDP;

	return new_lease(lease_via_names[grant->via], udp ? copy_term(lease, IPPROTO_TCP) : term,
			 udp ? term : copy_term(lease, IPPROTO_UDP));
}

json_t *lease_without(const json_t *lease, uint8_t protocol)
{
	bool udp = protocol == IPPROTO_UDP;

	return new_lease(text_of(lease, "via"), udp ? copy_term(lease, IPPROTO_TCP) : json_null(),
			 udp ? json_null() : copy_term(lease, IPPROTO_UDP));
}

static json_t *rebased_term(const json_t *term, const struct lease_clock *now)
{
	uint64_t left = term_left(term, now);

	if (left == 0)
		return json_null();
	return new_term((uint32_t)number_of(term, "seconds"), left,
			json_incref(json_object_get(term, "nonce")), now);
}

json_t *lease_rebased(const json_t *lease, const struct lease_clock *now)
{
	return new_lease(text_of(lease, "via"), rebased_term(term_of(lease, IPPROTO_TCP), now),
			 rebased_term(term_of(lease, IPPROTO_UDP), now));
}
