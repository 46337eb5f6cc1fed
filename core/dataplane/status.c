/* What the data plane does and what it lost, for people who look for a fault. */
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <sys/socket.h>

#include "dataplane/dataplane_internal.h"
#include "wireguard/aead.h"

struct counter {
	const char *name;
	size_t offset;
};

#define COUNTER(name, member)                                                                      \
	{                                                                                          \
		name, offsetof(struct dataplane_counters, member)                                  \
	}
#define DROP(name, member)                                                                         \
	{                                                                                          \
		"drop_" name, offsetof(struct wg_device_drops, member)                             \
	}

static const struct counter counters[] = {
	COUNTER("tun_reads", tun_packets),
	COUNTER("sealed", sealed),
	COUNTER("datagrams", trains),
	COUNTER("messages", messages),
	COUNTER("opened", opened),
	COUNTER("tun_writes", tun_writes),
	COUNTER("drop_out_malformed", tun_malformed),
	COUNTER("drop_out_not_read", tun_read_errors),
	COUNTER("drop_in_tun_refused", tun_write_errors),
};

static const struct counter drops[] = {
	DROP("out_no_peer", no_peer),
	DROP("out_no_endpoint", no_endpoint),
	DROP("out_bad_key", bad_key),
	DROP("out_staged_overflow", staged_overflow),
	DROP("out_no_session", no_session),
	DROP("malformed", malformed),
	DROP("in_bad_mac", bad_mac),
	DROP("in_cookie_given", cookie_given),
	DROP("in_cookie_refused", cookie_refused),
	DROP("in_busy", busy),
	DROP("in_rate_limited", rate_limited),
	DROP("in_unknown_peer", unknown_peer),
	DROP("in_handshake_replayed", handshake_replayed),
	DROP("in_unknown_index", unknown_index),
	DROP("in_replayed", replayed),
	DROP("in_bad_tag", bad_tag),
	DROP("in_wrong_source", wrong_source),
	DROP("in_session_expired", expired),
	DROP("no_memory", no_memory),
};

/* Each member of either struct has its line. */
_Static_assert(sizeof(counters) / sizeof(*counters) == sizeof(struct dataplane_counters) / 8,
	       "a counter of the data plane without a name");
_Static_assert(sizeof(drops) / sizeof(*drops) == sizeof(struct wg_device_drops) / 8,
	       "a drop of the engine without a name");

struct feature {
	const char *name;
	unsigned bit; /* enum tun_features */
};

static const struct feature features[] = {
	{ "tun_header", TUN_HAS_HEADER }, { "tun_checksum", TUN_HAS_CSUM },
	{ "tun_tso4", TUN_HAS_TSO4 },	  { "tun_tso6", TUN_HAS_TSO6 },
	{ "tun_uso", TUN_HAS_USO },
};

static void write_word(struct text *to, const char *name, const char *value)
{
	text_append(to, name);
	text_append_char(to, '=');
	text_append(to, value);
	text_append_char(to, '\n');
}

static void write_number(struct text *to, const char *name, uint64_t value)
{
	text_append(to, name);
	text_append_char(to, '=');
	text_append_number(to, value);
	text_append_char(to, '\n');
}

static void write_counters(struct text *to, const struct counter *table, size_t count,
			   const void *from)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value;

		memcpy(&value, (const uint8_t *)from + table[i].offset, sizeof(value));
		write_number(to, table[i].name, value);
	}
}

static bool has_gro(int fd)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(fd, IPPROTO_UDP, UDP_GRO, &value, &size) == 0 && value != 0;
}

static void write_features(struct text *to, const struct dataplane *d)
{
	unsigned kinds = coalescer_kinds(d->in.coalescer);
	int fd = d->sockets.v4 >= 0 ? d->sockets.v4 : d->sockets.v6;

	write_word(to, "cipher", aead_name());
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		write_number(to, features[i].name, (d->tun.features & features[i].bit) != 0);
	write_number(to, "coalesce_tcp", (kinds & COALESCE_TCP) != 0);
	write_number(to, "coalesce_udp", (kinds & COALESCE_UDP) != 0);
	write_number(to, "udp_segment",
		     udp_sender_segments(d->sender_v4) && udp_sender_segments(d->sender_v6));
	write_number(to, "udp_segment_refused",
		     udp_sender_refused(d->sender_v4) + udp_sender_refused(d->sender_v6) +
			     udp_sender_refused(d->replies.v4) + udp_sender_refused(d->replies.v6));
	write_number(to, "udp_gro", has_gro(fd));
	write_number(to, "udp_send_buffer", udp_send_buffer(fd));
	write_number(to, "udp_receive_buffer", udp_receive_buffer(fd));
}

void dataplane_write_status(struct dataplane *d, struct text *to)
{
	struct wg_device_drops dropped;

	(void)link_watch_ask(d->link_source.fd, d->tun.ifindex); /* else the last that was told */
	dataplane_read_link(d);
	wg_device_drops(d->device, &dropped);
	write_number(to, "up", d->link.up);
	write_number(to, "mtu", d->link.mtu);
	write_number(to, "handshake_threads", workers_count(d->workers));
	write_features(to, d);
	write_counters(to, counters, ARRAY_SIZE(counters), &d->counters);
	write_counters(to, drops, ARRAY_SIZE(drops), &dropped);
	write_number(to, "drop_out_not_sent",
		     udp_sender_lost(d->sender_v4) + udp_sender_lost(d->sender_v6) +
			     udp_sender_lost(d->replies.v4) + udp_sender_lost(d->replies.v6));
	write_number(to, "drop_out_queue_full", d->link.queue_drops);
	write_number(to, "drop_in_bad_datagram", udp_receiver_discarded(d->in.receiver));
	write_number(to, "drop_in_buffer_full",
		     d->overflows + udp_overflows(d->sockets.v4) + udp_overflows(d->sockets.v6));
}
