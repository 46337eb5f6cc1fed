/* PCP and NAT-PMP as a device sees them: datagrams in, datagrams out, forwards in the document. */
#include "portcontrol/pcp_service.h"
#include "tunnel/device_test.h"

#define ROUTER 0xac1d0501 /* 172.29.5.1 */
#define NONCE "000102030405060708090a0b"
#define HEADER_2 "00000000000000000000ffffac1d0502" /* the client is 172.29.5.2 */

struct asked {
	struct fixture *f;
	struct pcp_service *service;
	char answer[2 * 1100 + 1]; /* in hex, without the epoch */
	int count;
};

/* The epoch is the machine's: it is read, and left out. */
static void on_sent(void *context, const struct pcp_peer *to, const uint8_t *data, size_t size)
{
	struct asked *asked = context;
	size_t epoch = data[0] == 2 ? 8 : 4;
	char *at = asked->answer;

	assert_int_equal(to->server, to->client.address.family == AF_INET ? ROUTER : 0);
	assert_int_equal(to->client.port, 40000);
	for (size_t i = 0; i < size; i++)
		if (i < epoch || i >= epoch + 4)
			at += snprintf(at, 3, "%02x", data[i]);
	asked->count++;
	uv_stop(&asked->f->loop);
}

/* Has the service read @hex as it comes from @from. */
static void deliver(struct asked *asked, struct pcp_peer *peer, const char *from, const char *hex)
{
	size_t size = strlen(hex) / 2;
	uint8_t data[1100];

	peer->client.port = 40000;
	assert_int_equal(ip_parse(from, &peer->client.address), 0);
	for (size_t i = 0; i < size; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		data[i] = (uint8_t)byte;
	}
	asked->answer[0] = '\0';
	asked->count = 0;
	pcp_service_datagram(asked->service, peer, data, size);
}

static void datagram(struct asked *asked, const char *from, uint32_t to, const char *hex)
{
	struct pcp_peer peer = { .server = to };

	deliver(asked, &peer, from, hex);
}

static void expect(struct asked *asked, const char *from, const char *hex, const char *answer)
{
	datagram(asked, from, ROUTER, hex);
	while (asked->count == 0)
		uv_run(&asked->f->loop, UV_RUN_DEFAULT);
	assert_string_equal(asked->answer, answer);
}

/* The same over IPv6, to an address of this machine. */
static void datagram6(struct asked *asked, const char *from, const char *to, const char *hex)
{
	struct pcp_peer peer = { 0 };

	assert_int_equal(ip_parse(to, &peer.server6), 0);
	deliver(asked, &peer, from, hex);
}

/* @begins: how the answer does. */
static void expect6(struct asked *asked, const char *from, const char *to, const char *hex,
		    const char *begins)
{
	datagram6(asked, from, to, hex);
	while (asked->count == 0)
		uv_run(&asked->f->loop, UV_RUN_DEFAULT);
	if (strncmp(asked->answer, begins, strlen(begins)) != 0)
		fail_msg("%s, not %s", asked->answer, begins);
}

static void unheard6(struct asked *asked, const char *from, const char *to, const char *hex)
{
	datagram6(asked, from, to, hex);
	(void)uv_run(&asked->f->loop, UV_RUN_NOWAIT);
	assert_int_equal(asked->count, 0);
}

static void begin_asking(void **state, struct asked *asked)
{
	*asked = (struct asked){ .f = *state };
	assert_int_equal(pcp_service_new(asked->f->tunnel, on_sent, asked, &asked->service), 0);
}

static void pcp_maps_and_deletes(void **state)
{
	struct asked asked;

	begin_asking(state, &asked);
	expect(&asked, SERVER,
	       "0201000000001c20" HEADER_2 NONCE "0600000001bb01bb00000000000000000000ffff00000000",
	       "0281000000000e10"
	       "000000000000000000000000" NONCE "0600000001bb01bb00000000000000000000ffffc6120007");
	assert_non_null(forward(asked.f, "443"));
	/* Another has it. */
	expect(&asked, OTHER,
	       "0201000000001c2000000000000000000000ffffac1d0503" NONCE
	       "0600000001bb01bb00000000000000000000ffff00000000",
	       "0281000800000000"
	       "000000000000000000000000" NONCE "0600000001bb000000000000000000000000ffff00000000");
	/* ... and nothing else would do. */
	expect(&asked, OTHER,
	       "0201000000001c2000000000000000000000ffffac1d0503" NONCE
	       "0600000001bb01bb00000000000000000000ffff0000000002000000",
	       "0281000b00000000"
	       "000000000000000000000000" NONCE "0600000001bb000000000000000000000000ffff00000000");
	expect(&asked, SERVER,
	       "0201000000000000" HEADER_2 NONCE "0600000001bb000000000000000000000000ffff00000000",
	       "0281000000000000"
	       "000000000000000000000000" NONCE "0600000001bb000000000000000000000000ffff00000000");
	assert_null(forward(asked.f, "443"));
	(void)pcp_service_free(asked.service);
}

static void pcp_maps_ranges(void **state)
{
	struct asked asked;
	const json_t *entry;

	begin_asking(state, &asked);
	expect(&asked, SERVER,
	       "020100000000003c" HEADER_2 NONCE "1100000003e803e800000000000000000000ffff00000000"
	       "82000005"
	       "ffff03e800000000",
	       "028100000000003c"
	       "000000000000000000000000" NONCE "1100000003e803e800000000000000000000ffffc6120007"
	       "82000005"
	       "040003e800000000");
	entry = forward(asked.f, "1000");
	assert_int_equal(json_integer_value(json_object_get(entry, "count")), 1024);
	(void)pcp_service_free(asked.service);
}

#define GIT "e000000f6769742e6578616d706c652e636f6d00" /* HOSTNAME git.example.com */

static const json_t *route(const struct asked *asked, const char *name)
{
	return json_object_get(json_object_get(forward(asked->f, "443"), "routes"), name);
}

static void pcp_shares_a_port_by_name(void **state)
{
	struct asked asked;

	begin_asking(state, &asked);
	expect(&asked, SERVER, "0200000000000000" HEADER_2,
	       "0280000000000000"
	       "000000000000000000000000"
	       "e100000453393b01");
	expect(&asked, SERVER,
	       "020100000000003c" HEADER_2 NONCE
	       "0600000001bb01bb00000000000000000000ffff00000000" GIT "e000000161000000",
	       "028100000000003c"
	       "000000000000000000000000" NONCE
	       "0600000001bb01bb00000000000000000000ffffc6120007" GIT "e000000161000000");
	assert_true(json_is_true(json_object_get(route(&asked, "git.example.com"), "auto")));
	assert_non_null(route(&asked, "a"));
	/* All of the names, or none. */
	expect(&asked, OTHER,
	       "020100000000003c00000000000000000000ffffac1d0503" NONCE
	       "0600000001bb01bb00000000000000000000ffff00000000"
	       "e000000162000000" GIT,
	       "028100c000000000"
	       "000000000000000000000000" NONCE "0600000001bb000000000000000000000000ffff00000000");
	assert_null(route(&asked, "b"));
	/* What is another's is not deleted; and one's own by name. */
	expect(&asked, OTHER,
	       "020100000000000000000000000000000000ffffac1d0503" NONCE
	       "0600000001bb000000000000000000000000ffff00000000" GIT,
	       "0281000000000000"
	       "000000000000000000000000" NONCE
	       "0600000001bb000000000000000000000000ffff00000000" GIT);
	assert_non_null(route(&asked, "git.example.com"));
	expect(&asked, SERVER,
	       "0201000000000000" HEADER_2 NONCE
	       "0600000001bb000000000000000000000000ffff00000000" GIT,
	       "0281000000000000"
	       "000000000000000000000000" NONCE
	       "0600000001bb000000000000000000000000ffff00000000" GIT);
	assert_null(route(&asked, "git.example.com"));
	assert_non_null(route(&asked, "a"));
	(void)pcp_service_free(asked.service);
}

static void what_pcp_refuses(void **state)
{
	struct asked asked;

	begin_asking(state, &asked);
	/* The header says another address: it passed a NAT. */
	expect(&asked, SERVER,
	       "020100000000003c00000000000000000000ffffac1d0503" NONCE
	       "0600000001bb01bb00000000000000000000ffff00000000",
	       "0281000c00000000"
	       "000000000000000000000000" NONCE "0600000001bb000000000000000000000000ffff00000000");
	/* UDP knows no host names. */
	expect(&asked, SERVER,
	       "020100000000003c" HEADER_2 NONCE "1100000001bb01bb00000000000000000000ffff00000000"
	       "e000000161000000",
	       "028100c100000000"
	       "000000000000000000000000" NONCE "1100000001bb000000000000000000000000ffff00000000");
	call(asked.f, "device.set-auto-port-forward",
	     "'subnet':'172.29.5.1/24','ip':'" SERVER "','enabled':false");
	expect(&asked, SERVER,
	       "020100000000003c" HEADER_2 NONCE "0600000001bb01bb00000000000000000000ffff00000000",
	       "0281000200000000"
	       "000000000000000000000000" NONCE "060000000000000000000000000000000000ffff00000000");
	expect(&asked, SERVER, "0000", "0080000200000000");
	(void)pcp_service_free(asked.service);
}

static void nat_pmp_maps_and_deletes(void **state)
{
	struct asked asked;
	cleanup_free char *again = NULL;
	char text[8];
	unsigned port;

	begin_asking(state, &asked);
	expect(&asked, SERVER, "0000", "00800000c6120007");
	expect(&asked, SERVER, "000200001f90005000001c20", "008200001f90005000000e10");
	assert_non_null(forward(asked.f, "80"));
	/* What another has, or this machine itself, is not to be had; another port is, and always the same. */
	datagram(&asked, OTHER, ROUTER, "000200001f90005000001c20");
	while (asked.count == 0)
		uv_run(&asked.f->loop, UV_RUN_DEFAULT);
	assert_int_equal(sscanf(asked.answer, "008200001f90%4x00000e10", &port), 1);
	assert_int_not_equal(port, 80);
	(void)snprintf(text, sizeof(text), "%u", port & 0xffff);
	assert_non_null(forward(asked.f, text));
	again = strdup(asked.answer);
	expect(&asked, OTHER, "000200001f90005000001c20", again);
	expect(&asked, OTHER, "000200001f90001600001c20", again);
	expect(&asked, OTHER, "000200000000000000000000", "008200000000000000000000");
	assert_null(forward(asked.f, text));
	assert_non_null(forward(asked.f, "80"));
	expect(&asked, SERVER, "000200001f90000000000000", "008200001f90000000000000");
	assert_null(forward(asked.f, "80"));
	expect(&asked, SERVER, "0007", "00870005");
	(void)pcp_service_free(asked.service);
}

static void some_get_no_answer(void **state)
{
	struct asked asked;

	begin_asking(state, &asked);
	datagram(&asked, "172.29.5.9", ROUTER, "0000"); /* no device */
	assert_int_equal(asked.count, 0);
	datagram(&asked, "203.0.113.9", ROUTER, "0000");
	assert_int_equal(asked.count, 0);
	datagram(&asked, "2001:db8::2", ROUTER, "0000");
	assert_int_equal(asked.count, 0);
	datagram(&asked, SERVER, 0xc6120007, "0000"); /* asked the public address */
	assert_int_equal(asked.count, 0);
	datagram(&asked, SERVER, ROUTER, "0280"); /* a response */
	assert_int_equal(asked.count, 0);
	expect(&asked, SERVER, "0000", "00800000c6120007");
	(void)pcp_service_free(asked.service);
}

/* One device that asks without end leaves the others their share. */
static void a_flood_is_the_flooders(void **state)
{
	struct asked asked;
	int answered = 0;

	begin_asking(state, &asked);
	for (int i = 0; i < 20 * PCP_SERVICE_BURST; i++) {
		datagram(&asked, SERVER, ROUTER, "0000");
		answered += asked.count;
	}
	assert_true(answered >= PCP_SERVICE_BURST && answered < 20 * PCP_SERVICE_BURST);
	expect(&asked, OTHER, "0000", "00800000c6120007");
	(void)pcp_service_free(asked.service);
}

/* What was asked for happens, though nobody is left to answer. */
static void the_service_may_end_first(void **state)
{
	struct asked asked;

	begin_asking(state, &asked);
	datagram(&asked, SERVER, ROUTER, "000200001f90005000001c20");
	(void)pcp_service_free(asked.service);
	while (!forward(asked.f, "80") || store_busy(asked.f->tunnel->store))
		uv_run(&asked.f->loop, UV_RUN_ONCE);
	assert_int_equal(asked.count, 0);
}

#define NETWORK6 "2001:db8:d:1::"
#define CLIENT6 "20010db8000d00010000000000000002"
#define MAP6                                                                                       \
	"0201000000000e10" CLIENT6 NONCE "060000001b582328" /* port 7000, as 9000 if it may be */
#define ANY6 "00000000000000000000000000000000"

/* An address of the internet is opened at the port that was asked for, and no other. */
static void pcp_opens_pinholes(void **state)
{
	struct asked asked;

	begin_asking(state, &asked);
	unheard6(&asked, NETWORK6 "2", NETWORK6 "1", MAP6 ANY6); /* there is no IPv6 yet */
	set_ipv6(asked.f, NETWORK6 "/64");
	expect6(&asked, NETWORK6 "2", NETWORK6 "1", MAP6 ANY6,
		"0281000000000e10"
		"000000000000000000000000" NONCE "060000001b581b58" CLIENT6);
	assert_true(
		json_is_true(json_object_get(forward6(asked.f, "[" NETWORK6 "2]:7000"), "auto")));
	expect6(&asked, NETWORK6 "2", NETWORK6 "1",
		"0201000000000000" CLIENT6 NONCE "060000001b580000" ANY6, "0281000000000000");
	assert_null(forward6(asked.f, "[" NETWORK6 "2]:7000"));
	(void)pcp_service_free(asked.service);
}

static void pcp_over_ipv6_is_for_oneself(void **state)
{
	struct asked asked;

	begin_asking(state, &asked);
	set_ipv6(asked.f, NETWORK6 "/64");
	/* Another's address in the header: ADDRESS_MISMATCH. */
	expect6(&asked, NETWORK6 "3", NETWORK6 "1", MAP6 ANY6, "0281000c");
	/* No device, or no address of this machine in the device's network. */
	unheard6(&asked, NETWORK6 "9", NETWORK6 "1", MAP6 ANY6);
	unheard6(&asked, NETWORK6 "2", NETWORK6 "2", MAP6 ANY6);
	unheard6(&asked, NETWORK6 "2", "2001:db8:d:2::1", MAP6 ANY6);
	/* Without permission there is nothing to be had. */
	call(asked.f, "device.set-auto-port-forward",
	     "'subnet':'172.29.5.1/24','ip':'" SERVER "','enabled':false");
	expect6(&asked, NETWORK6 "2", NETWORK6 "1", MAP6 ANY6, "02810002");
	assert_null(store_get(asked.f->tunnel->store, "/" DOCUMENT_FORWARDS6));
	(void)pcp_service_free(asked.service);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pcp_maps_and_deletes, setup, teardown),
		cmocka_unit_test_setup_teardown(pcp_maps_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(pcp_shares_a_port_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(what_pcp_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(nat_pmp_maps_and_deletes, setup, teardown),
		cmocka_unit_test_setup_teardown(some_get_no_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_is_the_flooders, setup, teardown),
		cmocka_unit_test_setup_teardown(the_service_may_end_first, setup, teardown),
		cmocka_unit_test_setup_teardown(pcp_opens_pinholes, setup, teardown),
		cmocka_unit_test_setup_teardown(pcp_over_ipv6_is_for_oneself, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
