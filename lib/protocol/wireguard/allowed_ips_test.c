/* Longest prefix match: cases by hand, and random ones against a list that is searched through. */
#include "wireguard/allowed_ips.h"

#include "base/secret.h"

#include "base/test.h"

#define OWNERS 8

struct fixture {
	struct allowed_ips table;
	struct allowed_ips_owner owners[OWNERS];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	for (size_t i = 0; i < OWNERS; i++)
		allowed_ips_owner_init(&f->owners[i]);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < OWNERS; i++)
		allowed_ips_remove_owner(&f->table, &f->owners[i]);
	allowed_ips_done(&f->table);
	free(f);
	return 0;
}

static void insert(struct fixture *f, const struct ip_prefix *prefix, size_t owner)
{
	assert_int_equal(allowed_ips_reserve(&f->table, 1), 0);
	allowed_ips_insert(&f->table, prefix, &f->owners[owner]);
}

static void insert_text(struct fixture *f, const char *text, size_t owner)
{
	struct ip_prefix prefix;

	assert_int_equal(ip_prefix_parse(text, &prefix), 0);
	insert(f, &prefix, owner);
}

static void remove_text(struct fixture *f, const char *text, size_t owner)
{
	struct ip_prefix prefix;

	assert_int_equal(ip_prefix_parse(text, &prefix), 0);
	allowed_ips_remove(&f->table, &prefix, &f->owners[owner]);
}

/* The number of the owner, or -1. */
static int find(const struct fixture *f, const struct ip_address *address)
{
	const struct allowed_ips_owner *owner =
		allowed_ips_find(&f->table, address->family == AF_INET6, address->bytes);

	return owner ? (int)(owner - f->owners) : -1;
}

static int find_text(const struct fixture *f, const char *text)
{
	struct ip_address address;

	assert_int_equal(ip_parse(text, &address), 0);
	return find(f, &address);
}

static void the_longest_network_wins(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(find_text(f, "1.2.3.4"), -1);
	insert_text(f, "10.0.0.0/8", 0);
	insert_text(f, "10.1.2.3/16", 1); /* host bits do not count */
	insert_text(f, "10.1.2.128/25", 2);
	insert_text(f, "10.1.2.129/32", 3);
	insert_text(f, "fd00::/8", 4);
	insert_text(f, "fd00::1/128", 5);
	assert_int_equal(find_text(f, "10.2.0.0"), 0);
	assert_int_equal(find_text(f, "10.1.0.0"), 1);
	assert_int_equal(find_text(f, "10.1.2.127"), 1);
	assert_int_equal(find_text(f, "10.1.2.128"), 2);
	assert_int_equal(find_text(f, "10.1.2.129"), 3);
	assert_int_equal(find_text(f, "11.0.0.0"), -1);
	assert_int_equal(find_text(f, "fd00::2"), 4);
	assert_int_equal(find_text(f, "fd00::1"), 5);
	assert_int_equal(find_text(f, "fe00::1"), -1);
	insert_text(f, "0.0.0.0/0", 6);
	assert_int_equal(find_text(f, "11.0.0.0"), 6);
	assert_int_equal(find_text(f, "fe00::1"), -1);
	insert_text(f, "::/0", 7);
	assert_int_equal(find_text(f, "fe00::1"), 7);
	assert_int_equal(f->table.count, 8);
}

static void a_network_has_one_owner(void **state)
{
	struct fixture *f = *state;

	insert_text(f, "10.0.0.0/8", 0);
	insert_text(f, "10.0.0.0/8", 1);
	assert_int_equal(find_text(f, "10.0.0.1"), 1);
	assert_int_equal(f->owners[0].count, 0);
	remove_text(f, "10.0.0.0/8", 0); /* not its own any more */
	assert_int_equal(find_text(f, "10.0.0.1"), 1);
	remove_text(f, "10.0.0.0/9", 1); /* not this network */
	assert_int_equal(find_text(f, "10.0.0.1"), 1);
	remove_text(f, "10.0.0.0/8", 1);
	assert_int_equal(find_text(f, "10.0.0.1"), -1);
	assert_int_equal(f->table.count, 0);
}

static int count_prefix(const struct ip_prefix *prefix, void *context)
{
	char text[IP_TEXT_MAX];
	size_t *count = context;
	static const char *const expected[] = { "10.0.0.0/8", "fd00:1:2:3::/64" };

	assert_string_equal(ip_prefix_format(prefix, text), expected[*count]);
	return ++*count == 3 ? -1 : 0;
}

static void an_owner_lists_its_networks(void **state)
{
	struct fixture *f = *state;
	size_t count = 0;

	insert_text(f, "10.9.9.9/8", 0);
	insert_text(f, "fd00:1:2:3:4::/64", 0);
	assert_int_equal(allowed_ips_each(&f->owners[0], count_prefix, &count), 0);
	assert_int_equal(count, 2);
}

struct slow_entry {
	struct ip_prefix prefix;
	int owner; /* -1: free */
};

#define SLOW_MAX 4096

static struct slow_entry slow[SLOW_MAX];

static struct slow_entry *slow_find(const struct ip_prefix *network)
{
	struct slow_entry *unused = NULL;

	for (size_t i = 0; i < SLOW_MAX; i++) {
		if (slow[i].owner < 0)
			unused = &slow[i];
		else if (slow[i].prefix.length == network->length &&
			 ip_equal(&slow[i].prefix.address, &network->address))
			return &slow[i];
	}
	return unused;
}

static int slow_lookup(const struct ip_address *address)
{
	const struct slow_entry *best = NULL;

	for (size_t i = 0; i < SLOW_MAX; i++)
		if (slow[i].owner >= 0 && ip_prefix_contains(&slow[i].prefix, address) &&
		    (!best || slow[i].prefix.length > best->prefix.length))
			best = &slow[i];
	return best ? best->owner : -1;
}

/* Few different bits, so that networks meet. */
static struct ip_prefix random_network(void)
{
	struct ip_prefix prefix = { .address.family = random() % 2 ? AF_INET : AF_INET6 };
	size_t size = prefix.address.family == AF_INET ? 4 : 16;

	for (size_t i = 0; i < size; i++)
		prefix.address.bytes[i] = random() % 4 ? (uint8_t)(random() & 0x81) : 0;
	prefix.length = (uint8_t)((size_t)random() % (size * 8 + 1));
	return prefix;
}

static void agrees_with_a_list(void **state)
{
	struct fixture *f = *state;
	unsigned seed;

	random_bytes(&seed, sizeof(seed));
	print_message("seed %u\n", seed);
	srandom(seed);
	for (size_t i = 0; i < SLOW_MAX; i++)
		slow[i].owner = -1;
	for (int i = 0; i < 6000; i++) {
		struct ip_prefix prefix = random_network();
		struct ip_prefix network = ip_prefix_network(&prefix);
		struct slow_entry *entry = slow_find(&network);
		int owner = (int)(random() % OWNERS);

		if (random() % 3) {
			insert(f, &prefix, (size_t)owner);
			*entry = (struct slow_entry){ network, owner };
		} else if (random() % 100 == 0) {
			allowed_ips_remove_owner(&f->table, &f->owners[owner]);
			for (size_t j = 0; j < SLOW_MAX; j++)
				if (slow[j].owner == owner)
					slow[j].owner = -1;
		} else {
			if (entry->owner >= 0)
				owner = entry->owner;
			allowed_ips_remove(&f->table, &prefix, &f->owners[owner]);
			entry->owner = -1;
		}
		prefix = random_network();
		assert_int_equal(find(f, &prefix.address), slow_lookup(&prefix.address));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_longest_network_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(a_network_has_one_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(an_owner_lists_its_networks, setup, teardown),
		cmocka_unit_test_setup_teardown(agrees_with_a_list, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
