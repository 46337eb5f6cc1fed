/*
 * Many WireGuard initiators in one process, for the benchmark of the tunnel
 *
 *	crowd keys COUNT				prints the public keys of the first COUNT
 *	crowd handshakes IP PORT KEY FIRST COUNT ROUNDS	prints handshakes answered, and in a second
 *	crowd traffic IP PORT KEY FIRST COUNT TO MS	floods the inner address TO, each in turn
 *	crowd flood IP PORT KEY FIRST COUNT SOURCES RATE MS	sends so many initiations in a second,
 *							whatever comes back, and prints how many
 *							those were and how many cookies came
 *
 * They speak to the responder at IP and PORT whose public key is KEY (hex). Number n sends from the
 * address FIRST + n, inside too, so that a limit for each address or peer is met by none of them. In a flood
 * SOURCES addresses take turns, whosever the initiation is.
 * Their keys follow from their numbers: nothing here is secret.
 *
 * Handshakes: initiations are made before the clock starts, for they cost as much as answers do, and
 * sent with a bounded number unanswered. The clock stops with the last answer: what is lost costs no more
 * than its place among the unanswered. The first round only warms up: the responder may ask for
 * cookies in it, and computes what it keeps of each peer. Answers to the last round are checked in
 * full. Where an initiation is answered by a cookie, that one is lost, and the next carries it.
 */
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/ip.h"
#include "base/secret.h"
#include "wireguard/cookie.h"
#include "wireguard/noise.h"

#define UNANSWERED_MAX 256 /* enough that a responder never waits for us */
#define SILENCE_MS 1000 /* after that, what is unanswered is lost */
#define PAUSE_MS 50 /* a peer may not begin handshakes more often than each 20 ms */
#define BUFFER_SIZE (8 << 20)
#define TRAFFIC_ROUNDS 3 /* cookies come in the first ones, a session of the last one */
#define FLOOD_ROUNDS 100
#define TRAIN 32 /* packets of one that follow each other */
#define PACKET_SIZE 1408 /* inner, padded */
#define UDP_PORT 6001

struct initiator {
	struct in_addr address;
	struct dh_key *identity;
	struct noise_handshake handshake; /* the last one */
	struct cookie_jar cookies;
	uint8_t shared[DH_SIZE];
	struct noise_response response; /* to the last initiation */
	bool responded;
	struct aead_key *seal;
	uint32_t remote_index;
	uint64_t counter;
};

struct crowd {
	int fd;
	struct sockaddr_in to;
	uint8_t responder[DH_SIZE];
	struct initiator *all;
	uint32_t count;
	uint32_t rounds;
	uint8_t (*initiations)[MESSAGE_INITIATION_SIZE]; /* round by round */

	uint64_t flooded;
	uint64_t received_ns; /* when something came back last */
	uint32_t sent;
	uint32_t unanswered;
	uint32_t answered;
	uint32_t cookies;
	uint32_t sessions; /* of the last round */
	uint32_t lost;
};

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void check(int r, const char *what)
{
	if (r < 0) {
		errno = -r;
		fail(what);
	}
}

static struct dh_key *make_identity(uint32_t number)
{
	uint8_t secret[DH_SIZE];
	struct dh_key *key;

	blake2s_hash(secret, "crowd", 5, &number, sizeof(number));
	dh_clamp(secret);
	check(dh_key_new(secret, &key), "key");
	return key;
}

static int print_keys(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct dh_key *key = make_identity(i);
		uint8_t public_key[DH_SIZE];

		dh_key_public(key, public_key);
		for (size_t at = 0; at < DH_SIZE; at++)
			printf("%02x", public_key[at]);
		puts("");
		dh_key_free(key);
	}
	return 0;
}

static void write_timestamp(uint32_t round, uint8_t ret[NOISE_TIMESTAMP_SIZE])
{
	uint64_t stamp = clock_realtime_ns() + round * NS_PER_MS;
	struct writer w;

	writer_init(&w, ret, NOISE_TIMESTAMP_SIZE);
	writer_u64(&w, (UINT64_C(1) << 62) + 10 + stamp / NS_PER_S);
	writer_u32(&w, (uint32_t)(stamp % NS_PER_S));
}

/* All but the MACs. */
static void write_initiation(struct crowd *crowd, uint32_t round, uint32_t number)
{
	struct initiator *one = &crowd->all[number];
	uint32_t index = round * crowd->count + number;
	uint8_t timestamp[NOISE_TIMESTAMP_SIZE];
	struct noise_initiation body;
	uint8_t ephemeral[DH_SIZE];
	struct writer w;

	write_timestamp(round, timestamp);
	random_bytes(ephemeral, sizeof(ephemeral));
	check(noise_write_initiation(&one->handshake, one->identity, crowd->responder, one->shared,
				     timestamp, ephemeral, &body),
	      "initiation");
	writer_init(&w, crowd->initiations[index], MESSAGE_INITIATION_SIZE);
	writer_u32le(&w, MESSAGE_INITIATION);
	writer_u32le(&w, index);
	writer_copy(&w, &body, sizeof(body));
}

static void send_from(struct crowd *crowd, struct in_addr address, const struct iovec *part,
		      uint16_t segment)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
	} control = { 0 };
	struct msghdr message = { .msg_name = &crowd->to,
				  .msg_namelen = sizeof(crowd->to),
				  .msg_iov = (struct iovec *)part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	struct in_pktinfo source = { .ipi_spec_dst = address };

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(source));
	memcpy(CMSG_DATA(c), &source, sizeof(source));
	if (segment) {
		c = CMSG_NXTHDR(&message, c);
		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(segment));
		memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	} else {
		message.msg_controllen = CMSG_SPACE(sizeof(source));
	}
	if (sendmsg(crowd->fd, &message, 0) < 0)
		fail("send");
}

static void send_next(struct crowd *crowd)
{
	uint8_t *message = crowd->initiations[crowd->sent];
	struct initiator *one = &crowd->all[crowd->sent % crowd->count];
	const struct iovec part = { message, MESSAGE_INITIATION_SIZE };

	cookie_jar_sign(&one->cookies, message, MESSAGE_INITIATION_SIZE, clock_monotonic_ns());
	send_from(crowd, one->address, &part, 0);
	crowd->sent++;
	crowd->unanswered++;
}

static void take_response(struct crowd *crowd, struct reader *r)
{
	uint32_t remote_index = reader_u32le(r);
	uint32_t index = reader_u32le(r);
	struct initiator *one = &crowd->all[index % crowd->count];

	crowd->answered++;
	if (index / crowd->count != crowd->rounds - 1)
		return;
	reader_copy(r, &one->response, sizeof(one->response));
	one->responded = true;
	one->remote_index = remote_index;
}

/* Checks the answers to the last round: a session comes of each. After the clock, for it costs as much as an
 * answer. */
static void make_sessions(struct crowd *crowd)
{
	static const uint8_t no_psk[DH_SIZE];

	for (uint32_t i = 0; i < crowd->count; i++) {
		struct initiator *one = &crowd->all[i];
		struct noise_keys keys;

		if (!one->responded)
			continue;
		check(noise_read_response(&one->handshake, one->identity, no_psk, &one->response,
					  &keys),
		      "response");
		check(aead_key_new(keys.send, AEAD_SEAL, &one->seal), "session");
		crowd->sessions++;
	}
}

static void take_cookie(struct crowd *crowd, struct reader *r)
{
	uint32_t index = reader_u32le(r);
	const uint8_t *nonce = reader_take(r, XCHACHA_NONCE_SIZE);
	const uint8_t *sealed = reader_take(r, COOKIE_SIZE + AEAD_TAG_SIZE);
	struct initiator *one = &crowd->all[index % crowd->count];

	crowd->cookies++;
	/* Of an initiation before the last one: a cookie comes again. */
	(void)cookie_jar_take(&one->cookies, nonce, sealed, clock_monotonic_ns());
}

static void receive(struct crowd *crowd)
{
	uint8_t message[2048];
	bool any = false;
	ssize_t size;

	while ((size = recv(crowd->fd, message, sizeof(message), MSG_DONTWAIT)) > 0) {
		struct reader r;
		uint32_t type;

		reader_init(&r, message, (size_t)size);
		type = reader_u32le(&r);
		if (type != MESSAGE_RESPONSE && type != MESSAGE_COOKIE)
			continue;
		crowd->unanswered -= crowd->unanswered > 0;
		if (type == MESSAGE_RESPONSE)
			take_response(crowd, &r);
		else
			take_cookie(crowd, &r);
		any = true;
	}
	if (any)
		crowd->received_ns = clock_monotonic_ns();
}

/* Sends initiations up to that many in all, and sees what comes back. */
static void run_until(struct crowd *crowd, uint32_t end)
{
	struct pollfd wait = { .fd = crowd->fd, .events = POLLIN };

	while (crowd->sent < end || crowd->unanswered > 0) {
		while (crowd->sent < end && crowd->unanswered < UNANSWERED_MAX)
			send_next(crowd);
		if (poll(&wait, 1, SILENCE_MS) == 0) {
			crowd->lost += crowd->unanswered;
			crowd->unanswered = 0;
		}
		receive(crowd);
	}
}

static void open_socket(struct crowd *crowd, const char *ip, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	uint32_t address;
	int buffer = BUFFER_SIZE;

	check(ip_v4_parse(ip, &address), ip);
	to.sin_addr.s_addr = htonl(address);
	to.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	crowd->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (crowd->fd < 0)
		fail("socket");
	(void)setsockopt(crowd->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	(void)setsockopt(crowd->fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	/* Any address, and not connected: what comes to all the initiators is ours. */
	if (bind(crowd->fd, (const struct sockaddr *)&(struct sockaddr_in){ .sin_family = AF_INET },
		 sizeof(to)) < 0)
		fail("bind");
	crowd->to = to;
}

static void init(struct crowd *crowd, char **argv, uint32_t rounds)
{
	uint32_t first;

	open_socket(crowd, argv[2], argv[3]);
	for (size_t i = 0; i < DH_SIZE; i++) {
		char digits[3] = { argv[4][2 * i], argv[4][2 * i + 1] };

		crowd->responder[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	check(ip_v4_parse(argv[5], &first), argv[5]);
	crowd->count = (uint32_t)strtoul(argv[6], NULL, 10);
	crowd->rounds = rounds;
	crowd->all = calloc(crowd->count, sizeof(*crowd->all));
	crowd->initiations = calloc((size_t)crowd->count * rounds, MESSAGE_INITIATION_SIZE);
	if (!crowd->all || !crowd->initiations)
		fail("memory");
	for (uint32_t i = 0; i < crowd->count; i++) {
		struct initiator *one = &crowd->all[i];

		one->address.s_addr = htonl(first + i);
		one->identity = make_identity(i);
		check(dh_shared(one->identity, crowd->responder, one->shared), "key");
		cookie_jar_init(&one->cookies, crowd->responder);
	}
	for (uint32_t round = 0; round < rounds; round++) {
		for (uint32_t i = 0; i < crowd->count; i++)
			write_initiation(crowd, round, i);
	}
}

static int handshakes(struct crowd *crowd)
{
	uint64_t start;
	uint32_t before;

	run_until(crowd, crowd->count);
	before = crowd->answered;
	start = clock_monotonic_ns();
	run_until(crowd, crowd->count * crowd->rounds);
	crowd->answered -= before;
	printf("%u %.1f\n", crowd->answered,
	       crowd->answered / ((double)(crowd->received_ns - start) / (double)NS_PER_S));
	make_sessions(crowd);
	(void)fprintf(stderr, "sent %u, cookies %u, lost %u, last round %u\n", crowd->sent,
		      crowd->cookies, crowd->lost, crowd->sessions);
	return 0;
}

/* An IPv4 packet with a datagram; a checksum of 0 is none. */
static void write_packet(const struct initiator *one, uint32_t to, uint8_t *packet)
{
	uint32_t sum = 0;
	struct writer w;

	writer_init(&w, packet, 28);
	writer_u16(&w, 0x4500);
	writer_u16(&w, PACKET_SIZE);
	writer_u32(&w, 0);
	writer_u32(&w, 0x40110000);
	writer_u32(&w, ntohl(one->address.s_addr));
	writer_u32(&w, to);
	writer_u16(&w, UDP_PORT);
	writer_u16(&w, UDP_PORT);
	writer_u16(&w, PACKET_SIZE - 20);
	writer_u16(&w, 0);
	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)packet[i] << 8 | packet[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16)) & 0xffff;
	packet[10] = (uint8_t)(sum >> 8);
	packet[11] = (uint8_t)sum;
}

static void send_train(struct crowd *crowd, struct initiator *one, uint32_t to)
{
	static uint8_t train[TRAIN][MESSAGE_DATA_HEADER + PACKET_SIZE + AEAD_TAG_SIZE];
	const struct iovec part = { train, sizeof(train) };
	struct aead_packet packets[TRAIN];

	for (size_t i = 0; i < TRAIN; i++) {
		struct writer w;

		writer_init(&w, train[i], MESSAGE_DATA_HEADER);
		writer_u32le(&w, MESSAGE_DATA);
		writer_u32le(&w, one->remote_index);
		writer_u64le(&w, one->counter);
		write_packet(one, to, train[i] + MESSAGE_DATA_HEADER);
		packets[i] = (struct aead_packet){ train[i] + MESSAGE_DATA_HEADER, PACKET_SIZE,
						   one->counter++, false };
	}
	aead_seal(one->seal, packets, TRAIN);
	send_from(crowd, one->address, &part, sizeof(train[0]));
}

static int traffic(struct crowd *crowd, const char *to_text, uint64_t ms)
{
	uint64_t end;
	uint32_t to;

	check(ip_v4_parse(to_text, &to), to_text);
	for (uint32_t round = 1; round <= crowd->rounds; round++) {
		run_until(crowd, crowd->count * round);
		(void)poll(NULL, 0, PAUSE_MS);
	}
	make_sessions(crowd);
	if (crowd->sessions < crowd->count - crowd->count / 10) {
		(void)fprintf(stderr, "%u of %u have a session\n", crowd->sessions, crowd->count);
		return 1;
	}
	puts("begins");
	(void)fflush(stdout);
	end = clock_monotonic_ns() + ms * NS_PER_MS;
	for (uint32_t i = 0; clock_monotonic_ns() < end; i = (i + 1) % crowd->count) {
		if (crowd->all[i].seal) /* the answer to it was not lost */
			send_train(crowd, &crowd->all[i], to);
	}
	return 0;
}

/* Only that they came: who takes one is no flood any more. */
static void count_cookies(struct crowd *crowd)
{
	uint8_t message[2048];

	while (recv(crowd->fd, message, sizeof(message), MSG_DONTWAIT) > 0)
		crowd->cookies += message[0] == MESSAGE_COOKIE;
}

/* Initiations without cookies, the same ones again and again. */
static int flood(struct crowd *crowd, uint32_t sources, uint64_t rate, uint64_t ms)
{
	uint32_t first = ntohl(crowd->all[0].address.s_addr);
	uint64_t start = clock_monotonic_ns();
	uint64_t passed;

	while ((passed = clock_monotonic_ns() - start) < ms * NS_PER_MS) {
		for (uint64_t due = passed * rate / NS_PER_S; crowd->flooded < due;
		     crowd->flooded++) {
			if (crowd->sent == crowd->count * crowd->rounds)
				crowd->sent = 0;
			crowd->all[crowd->sent % crowd->count].address.s_addr =
				htonl(first + (uint32_t)(crowd->flooded % sources));
			send_next(crowd);
		}
		count_cookies(crowd);
		(void)poll(NULL, 0, 1);
	}
	printf("%llu %u\n", (unsigned long long)crowd->flooded, crowd->cookies);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	struct crowd crowd = { 0 };

	check(aead_prepare(), "cipher");
	if (strcmp(verb, "keys") == 0)
		return print_keys((uint32_t)strtoul(argv[2], NULL, 10));
	if (strcmp(verb, "handshakes") == 0 && argc == 8) {
		init(&crowd, argv, (uint32_t)strtoul(argv[7], NULL, 10));
		return handshakes(&crowd);
	}
	if (strcmp(verb, "traffic") == 0 && argc == 9) {
		init(&crowd, argv, TRAFFIC_ROUNDS);
		return traffic(&crowd, argv[7], strtoul(argv[8], NULL, 10));
	}
	if (strcmp(verb, "flood") == 0 && argc == 10) {
		init(&crowd, argv, FLOOD_ROUNDS);
		return flood(&crowd, (uint32_t)strtoul(argv[7], NULL, 10),
			     strtoul(argv[8], NULL, 10), strtoul(argv[9], NULL, 10));
	}
	(void)fprintf(stderr, "usage: crowd keys|handshakes|traffic|flood ...\n");
	return 2;
}
