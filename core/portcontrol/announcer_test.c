/* Who is told that it has to ask again, by what, how often, and what is said. */
#include "portcontrol/announcer.h"
#include "tunnel/device_test.h"

#define ROUTER 0xac1d0501 /* 172.29.5.1 */

struct heard {
	struct fixture *f;
	struct announcer *announcer;
	char first[16]; /* the kinds of the messages in order: p, n, a (alive), b (byebye) */
	int count;
	int until;
	uint32_t epoch_s; /* of the last one by PCP */
	uint32_t address; /* of the last one by NAT-PMP */
};

static uint32_t u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static char kind_of(struct heard *heard, enum announcer_port port, const struct pcp_peer *to,
		    const uint8_t *data, size_t size)
{
	if (port == ANNOUNCER_SSDP) {
		assert_int_equal(to->client.port, 1900);
		assert_memory_equal(data, "NOTIFY * ", 9);
		return memmem(data, size, "ssdp:alive", 10) ? 'a' : 'b';
	}
	assert_int_equal(to->client.port, 5350);
	if (data[0] == 2) {
		assert_int_equal(size, 24);
		assert_memory_equal(data, "\x02\x80\0\0\0\0\0\0", 8);
		heard->epoch_s = u32(data + 8);
		return 'p';
	}
	assert_int_equal(size, 12);
	assert_memory_equal(data, "\0\x80\0\0", 4);
	heard->address = u32(data + 8);
	return 'n';
}

static void on_announced(void *context, enum announcer_port port, const struct pcp_peer *to,
			 const void *data, size_t size)
{
	struct heard *heard = context;
	char kind = kind_of(heard, port, to, data, size);

	assert_int_equal(to->server, ROUTER);
	assert_int_equal(ip_to_v4(&to->client.address), ROUTER + 1);
	if (heard->count < (int)sizeof(heard->first) - 1)
		heard->first[heard->count] = kind;
	if (++heard->count == heard->until)
		uv_stop(&heard->f->loop);
}

static void on_mapped(void *context, const struct mapping_request *request,
		      const struct mapping_outcome *outcome)
{
	assert_int_equal(outcome->result, MAPPING_DONE);
	uv_stop(context);
}

static void map(struct fixture *f, enum lease_via via, uint16_t port)
{
	const struct mapping_request request = { .via = via,
						 .device = ROUTER + 1,
						 .protocol = IPPROTO_TCP,
						 .internal_port = port,
						 .external_port = port,
						 .count = 1,
						 .lifetime_s = 600 };

	assert_int_equal(port_mapper_submit(tunnel_port_mapper(f->tunnel), &request, on_mapped,
					    &f->loop),
			 0);
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void hear(struct heard *heard, int count)
{
	memset(heard->first, 0, sizeof(heard->first));
	heard->count = 0;
	heard->until = count;
	uv_run(&heard->f->loop, UV_RUN_DEFAULT);
	assert_int_equal(heard->count, count);
}

static void begin_hearing(void **state, struct heard *heard)
{
	*heard = (struct heard){ .f = *state };
	assert_int_equal(announcer_new(heard->f->tunnel, on_announced, heard, &heard->announcer),
			 0);
}

static void a_device_is_told_by_what_it_asked_with(void **state)
{
	struct heard heard;

	begin_hearing(state, &heard);
	map(heard.f, LEASE_PCP, 1000);
	map(heard.f, LEASE_PCP, 1001);
	announcer_begin(heard.announcer);
	hear(&heard, 3); /* rounds */
	assert_string_equal(heard.first, "ppp");
	map(heard.f, LEASE_NAT_PMP, 1002);
	map(heard.f, LEASE_UPNP, 1003);
	announcer_begin(heard.announcer);
	hear(&heard, 2 + 9);
	assert_string_equal(heard.first, "pnaaaaaaaaa");
	assert_int_equal(heard.address, 0xc6120007);
	/* Not any more once it may not. */
	call(heard.f, "device.set-auto-port-forward",
	     "'subnet':'172.29.5.1/24','ip':'" SERVER "','enabled':false");
	heard.count = 0;
	announcer_stop(heard.announcer);
	assert_int_equal(heard.count, 0);
	(void)announcer_free(heard.announcer);
}

/* The network does not take a new address. */
static void be_refused(struct fixture *f)
{
	static const char body[] =
		"{\"method\":\"subnet.set-wan\","
		"\"params\":{\"subnet\":\"172.29.5.1/24\",\"wanIp\":\"198.18.0.8\"}}";
	const struct rpc_caller caller = { .kind = RPC_CALLER_LOCAL };

	f->fail_next = 1;
	free(TAKE_PTR(f->answer));
	rpc_dispatch(f->dispatcher, body, sizeof(body) - 1, &caller, on_answer, f);
	while (!f->answer)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_non_null(strstr(f->answer, "error"));
}

static void a_new_address_is_a_new_epoch(void **state)
{
	struct heard heard;
	uint32_t before;

	begin_hearing(state, &heard);
	map(heard.f, LEASE_PCP, 1000);
	map(heard.f, LEASE_NAT_PMP, 1001);
	before = port_mapper_epoch(tunnel_port_mapper(heard.f->tunnel));
	/* What the network refuses changes nothing. */
	be_refused(heard.f);
	assert_true(port_mapper_epoch(tunnel_port_mapper(heard.f->tunnel)) >= before);
	assert_int_equal(heard.count, 0);
	call(heard.f, "subnet.set-wan", "'subnet':'172.29.5.1/24','wanIp':'198.18.0.8'");
	heard.count = 0;
	hear(&heard, 2);
	assert_string_equal(heard.first, "pn");
	assert_true(heard.epoch_s < 60);
	assert_int_equal(heard.address, 0xc6120008);
	(void)announcer_free(heard.announcer);
}

static void the_end_is_told(void **state)
{
	struct heard heard;

	begin_hearing(state, &heard);
	map(heard.f, LEASE_PCP, 1000);
	announcer_stop(heard.announcer);
	assert_int_equal(heard.count, 0); /* PCP knows no such message */
	(void)announcer_free(heard.announcer);
	begin_hearing(state, &heard);
	map(heard.f, LEASE_UPNP, 1001);
	announcer_stop(heard.announcer);
	assert_string_equal(heard.first, "bbbbbbbbb");
	announcer_begin(heard.announcer);
	(void)announcer_free(heard.announcer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_device_is_told_by_what_it_asked_with, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_new_address_is_a_new_epoch, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
