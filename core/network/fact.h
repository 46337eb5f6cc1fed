/*
 * Facts: what the kernel has, or is to have, in its own terms
 *
 * A fact is a key and a value in bytes. Wanted items expand into facts by a pure function, and what
 * is present is read as facts, so that one comparison of two sorted sets tells every change. Facts
 * hold keys of devices: sets wipe their memory.
 */
#pragma once

#include "base/fault.h"
#include "base/ip.h"
#include "netstate/net_item.h"

/* In the order of their application, so far as one depends on another. */
enum fact_kind {
	FACT_LINK = 1, /* the interface is there; neither key nor value */
	FACT_RULESET, /* our table is as we load it */
	FACT_FORWARD, /* from here to FACT_MASQUERADE6: elements of the table */
	FACT_PUBLISHED,
	FACT_ANSWERED, /* the same keys once more, to count replies by */
	FACT_SUBNET,
	FACT_SAME_SUBNET,
	FACT_HAIRPIN,
	FACT_EGRESS_DEVICE,
	FACT_EGRESS_SUBNET,
	FACT_FORWARD6, /* elements of IPv6: addresses have 16 bytes, the rest is the same */
	FACT_PUBLISHED6,
	FACT_ANSWERED6,
	FACT_SUBNET6,
	FACT_SAME_SUBNET6,
	FACT_HAIRPIN6,
	FACT_MASQUERADE6,
	FACT_FORWARDING, /* net.ipv4.ip_forward is 1 */
	FACT_FORWARDING6, /* net.ipv6.conf.all.forwarding is 1 */
	FACT_LINK_STATE, /* value: up (1), MTU (4), speaks IPv6 (1) */
	FACT_ADDRESS, /* key: address (4), prefix length (1) */
	FACT_ADDRESS6, /* key: address (16), prefix length (1) */
	FACT_ROUTE, /* key: network (4), prefix length (1); value: source address (4) */
	FACT_RETURN_RULE, /* what comes back to transparent sockets is looked up in a table of its own */
	FACT_RETURN_ROUTE, /* where all is for this machine; neither key nor value */
	FACT_ROUTE6, /* key: network (16), prefix length (1) */
	FACT_WG_DEVICE, /* value: private key (32), listen port (2) */
	FACT_PEER, /* key: public key (32); value: preshared key (32), its addresses (4, 16) */
};

#define FACT_KEY_SIZE 32
#define FACT_VALUE_SIZE 52
#define FACT_PEER_ADDRESS 32 /* where they begin in the value */
#define FACT_PEER_ADDRESS6 36

/* Values of FACT_RULESET. */
enum fact_ruleset {
	FACT_RULESET_OTHER, /* not as we load it */
	FACT_RULESET_V4, /* all of IPv6 that would be forwarded is dropped */
	FACT_RULESET_V6, /* with the rules for IPv6 */
};

/* Numbers are big-endian, unused bytes zero. */
struct fact {
	uint8_t kind; /* enum fact_kind */
	uint8_t key[FACT_KEY_SIZE];
	uint8_t value[FACT_VALUE_SIZE];
};

/* Embedded in its owner; zeroed is empty. */
struct fact_set {
	struct fact *facts;
	size_t count;
	size_t capacity;
	int error; /* of an append, kept: fact_set_finish() tells */
};

void fact_set_done(struct fact_set *set);
DEFINE_CLEANUP_DONE(struct fact_set, fact_set_done);

/* Orders by kind and key; values do not count. */
int fact_compare(const struct fact *a, const struct fact *b);

void fact_set_append(struct fact_set *set, const struct fact *fact);

/*
 * Sorts. Returns 0, a kept -ENOMEM, or -EEXIST where two facts have one key and different values;
 * @ret_clash then tells one of the two (NULL is fine). What is there twice is kept once.
 */
int fact_set_finish(struct fact_set *set, struct fact *ret_clash);

/* The fact of the same kind and key, or NULL. */
const struct fact *fact_set_find(const struct fact_set *set, const struct fact *like);

/* Makers, for expansion and for reading alike. */
struct fact fact_of_forward(uint32_t external, uint16_t external_port, uint32_t target,
			    uint16_t target_port);
struct fact fact_of_published(uint32_t external, uint16_t external_port);
struct fact fact_of_answered(uint32_t external, uint16_t external_port);
struct fact fact_of_network(enum fact_kind kind, uint32_t address, uint8_t prefix);
struct fact fact_of_ports6(enum fact_kind kind, const uint8_t external[NET_ADDRESS6_SIZE],
			   uint16_t external_port);
struct fact fact_of_network6(enum fact_kind kind, const uint8_t address[NET_ADDRESS6_SIZE],
			     uint8_t prefix);
struct fact fact_of_link_state(bool up, uint32_t mtu, bool ipv6);
struct fact fact_of_address(uint32_t address, uint8_t prefix);
struct fact fact_of_route(uint32_t network, uint8_t prefix, uint32_t source);
struct fact fact_of_wg_device(const uint8_t private_key[NET_KEY_SIZE], uint16_t listen_port);
struct fact fact_of_peer(const uint8_t public_key[NET_KEY_SIZE],
			 const uint8_t preshared_key[NET_KEY_SIZE], uint32_t address,
			 const uint8_t address6[NET_ADDRESS6_SIZE]);

/* Members as numbers. */
uint32_t fact_address(const uint8_t *bytes);
uint16_t fact_port(const uint8_t *bytes);

static inline bool fact_is_element(const struct fact *fact)
{
	return fact->kind >= FACT_FORWARD && fact->kind <= FACT_MASQUERADE6;
}

/* The network of FACT_ADDRESS and FACT_ROUTE, of either family. */
struct ip_prefix fact_prefix(const struct fact *fact);

/*
 * Expands items. Each item yields its facts whatever else is in the set, so that a change of items
 * expands into a change of facts.
 * @mtu: of the interface where the item says 0. Returns 0, -ENOMEM, -E2BIG (NET_FORWARD_PORTS_MAX),
 * -EEXIST with a fault that names what two items claim.
 */
int facts_expand(const struct net_set *items, uint32_t mtu, struct fact_set *ret,
		 struct fault *fault);

/* Whether the forwards of a whole set stay within NET_FORWARD_PORTS_MAX. 0, or -E2BIG with a fault. */
int facts_check_ports(const struct net_set *items, struct fault *fault);

/* For a person, without secrets: "address 10.59.0.1/24 of wg-start-tunnel". */
#define FACT_TEXT_MAX 128
char *fact_format(const struct fact *fact, char to[FACT_TEXT_MAX]);
