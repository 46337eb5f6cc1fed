/* The address that a peer is spoken to from: which one, and when it is let go of. */
#include "wireguard/device_test.h"

#include "base/test.h"

/* Two addresses of side 1, and two interfaces that messages of it may leave by. */
#define FIRST 0xc0000202
#define SECOND 0xc6336402

static uint32_t output; /* of all messages of side 1; 0: there is no way */
static unsigned questions;
static struct ip_address asked_from;

static uint32_t on_output(void *context, const struct wg_route *to)
{
	(void)context;
	questions++;
	asked_from = to->local;
	return output;
}

/* Side 0 speaks to that address of side 1. */
static void speak_to(struct world *w, uint32_t address)
{
	w->sides[1].address.address = ip_from_v4(address);
	assert_true(packet_passes(w, 0, 100));
}

/* Side 1 sends a packet. Returns the address that it sends it from, 0: it leaves that to the kernel. */
static uint32_t source_of_next(struct world *w)
{
	const struct wire_message *m = &w->wire[0];

	assert_int_equal(side_send_packet(&w->sides[1], 100), WG_SEALED);
	w->wire_count = 0;
	return m->to.local.family ? ip_to_v4(&m->to.local) : 0;
}

static void begin(struct world *w)
{
	world_init(w, 1);
	w->sides[1].device->ops.output = on_output;
	output = 1;
	questions = 0;
	speak_to(w, FIRST);
	assert_int_equal(source_of_next(w), FIRST);
}

static void it_is_asked_for_once(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	begin(&w);
	assert_int_equal(questions, 1);
	for (unsigned i = 0; i < 10; i++) {
		speak_to(&w, FIRST);
		assert_int_equal(source_of_next(&w), FIRST);
	}
	assert_int_equal(questions, 1);
	for (unsigned i = 0; i < 1000; i++)
		wg_device_routes_changed(w.sides[1].device);
	speak_to(&w, FIRST);
	assert_int_equal(questions, 1); /* nobody spoke */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(source_of_next(&w), FIRST);
	assert_int_equal(questions, 2);
	assert_int_equal(ip_to_v4(&asked_from), FIRST);
}

static void it_goes_when_the_route_moves(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	begin(&w);
	output = 2;
	assert_int_equal(source_of_next(&w), FIRST); /* nobody said so yet */
	wg_device_routes_changed(w.sides[1].device);
	assert_int_equal(source_of_next(&w), 0);
	speak_to(&w, FIRST); /* was on its way */
	assert_int_equal(source_of_next(&w), 0);
	speak_to(&w, SECOND); /* the peer has followed */
	assert_int_equal(source_of_next(&w), SECOND);
}

static void it_comes_back_with_the_route(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	begin(&w);
	for (output = 2; output > 0; output--) {
		wg_device_routes_changed(w.sides[1].device);
		assert_int_equal(source_of_next(&w), output == 1 ? FIRST : 0);
	}
}

static void it_stays_while_there_is_no_way(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	begin(&w);
	output = 0;
	wg_device_routes_changed(w.sides[1].device);
	assert_int_equal(source_of_next(&w), FIRST);
	speak_to(&w, SECOND); /* became known without a way back */
	output = 2;
	wg_device_routes_changed(w.sides[1].device);
	assert_int_equal(source_of_next(&w), SECOND);
	output = 1;
	wg_device_routes_changed(w.sides[1].device);
	assert_int_equal(source_of_next(&w), 0);
}

/* Handshakes and keepalives are sent by another way than packets. */
static void messages_of_the_engine_follow_too(void **state)
{
	CLEANUP(world_done) struct world w;

	(void)state;
	begin(&w);
	output = 2;
	wg_device_routes_changed(w.sides[1].device);
	peer_send_keepalive(side_peer(&w.sides[1]), w.now);
	assert_int_equal(w.wire_count, 1);
	assert_int_equal(w.wire[0].to.local.family, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_asked_for_once),
		cmocka_unit_test(it_goes_when_the_route_moves),
		cmocka_unit_test(it_comes_back_with_the_route),
		cmocka_unit_test(it_stays_while_there_is_no_way),
		cmocka_unit_test(messages_of_the_engine_follow_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
