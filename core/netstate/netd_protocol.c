#include "netstate/netd_protocol.h"

#include <string.h>

#include "base/bytes.h"
#include "base/secret.h"

#define FRAME_LENGTH_SIZE 4
#define FRAME_HEAD_SIZE 5 /* type and number */
#define FAULT_DETAILS_MAX 4096
#define PEERS_MAX 65536

void netd_status_done(struct netd_status *status)
{
	free(status->peers);
	free(status->forwards);
	*status = (struct netd_status){ 0 };
}

ssize_t netd_frame_parse(const uint8_t *data, size_t size, struct netd_frame *ret)
{
	struct reader r;
	uint32_t length;

	if (size < FRAME_LENGTH_SIZE)
		return 0;
	reader_init(&r, data, size);
	length = reader_u32(&r);
	if (length > NETD_FRAME_MAX)
		return -EMSGSIZE;
	if (length < FRAME_HEAD_SIZE)
		return -EBADMSG;
	if (reader_left(&r) < length)
		return 0;
	ret->type = reader_u8(&r);
	ret->number = reader_u32(&r);
	ret->body = r.at;
	ret->body_size = length - FRAME_HEAD_SIZE;
	return (ssize_t)(FRAME_LENGTH_SIZE + length);
}

static void put_u8(struct text *to, uint8_t value)
{
	text_append_bytes(to, &value, 1);
}

static void put_u16(struct text *to, uint16_t value)
{
	uint8_t bytes[] = { (uint8_t)(value >> 8), (uint8_t)value };

	text_append_bytes(to, bytes, sizeof(bytes));
}

static void put_u32(struct text *to, uint32_t value)
{
	put_u16(to, (uint16_t)(value >> 16));
	put_u16(to, (uint16_t)value);
}

static void put_u64(struct text *to, uint64_t value)
{
	put_u32(to, (uint32_t)(value >> 32));
	put_u32(to, (uint32_t)value);
}

/* Strings are a length (2 bytes) and the bytes. */
static void put_string(struct text *to, const char *string, size_t max)
{
	size_t size = strnlen(string, max);

	put_u16(to, (uint16_t)size);
	text_append_bytes(to, string, size);
}

/* Returns where the frame began, for end_frame(). */
static size_t begin_frame(struct text *to, uint8_t type, uint32_t number)
{
	size_t start = to->size;

	put_u32(to, 0); /* the length, filled in at the end */
	put_u8(to, type);
	put_u32(to, number);
	return start;
}

static void end_frame(struct text *to, size_t start)
{
	struct writer w;

	if (text_error(to) < 0)
		return;
	writer_init(&w, to->data + start, FRAME_LENGTH_SIZE);
	writer_u32(&w, (uint32_t)(to->size - start - FRAME_LENGTH_SIZE));
}

static void put_item(struct text *to, const struct net_item *item)
{
	put_u8(to, item->kind);
	switch (item->kind) {
	case NET_LINK:
		text_append_bytes(to, item->link.private_key, NET_KEY_SIZE);
		put_u16(to, item->link.listen_port);
		put_u16(to, item->link.mtu);
		put_u8(to, item->link.ipv6);
		break;
	case NET_SUBNET:
		put_u32(to, item->subnet.address);
		put_u8(to, item->subnet.prefix);
		break;
	case NET_DEVICE:
		text_append_bytes(to, item->device.public_key, NET_KEY_SIZE);
		text_append_bytes(to, item->device.preshared_key, NET_KEY_SIZE);
		put_u32(to, item->device.address);
		text_append_bytes(to, item->device.address6, NET_ADDRESS6_SIZE);
		break;
	case NET_EGRESS:
		put_u32(to, item->egress.source);
		put_u8(to, item->egress.prefix);
		put_u32(to, item->egress.address);
		break;
	case NET_FORWARD:
		put_u32(to, item->forward.external);
		put_u16(to, item->forward.external_port);
		put_u16(to, item->forward.count);
		put_u32(to, item->forward.target);
		put_u16(to, item->forward.target_port);
		break;
	case NET_SUBNET6:
		text_append_bytes(to, item->subnet6.address, NET_ADDRESS6_SIZE);
		put_u8(to, item->subnet6.masquerade);
		break;
	case NET_FORWARD6:
		text_append_bytes(to, item->forward6.external, NET_ADDRESS6_SIZE);
		put_u16(to, item->forward6.external_port);
		put_u16(to, item->forward6.count);
		text_append_bytes(to, item->forward6.target, NET_ADDRESS6_SIZE);
		put_u16(to, item->forward6.target_port);
		break;
	default:
		break;
	}
}

static void put_set(struct text *to, const struct net_set *set)
{
	put_u32(to, (uint32_t)set->count);
	for (size_t i = 0; i < set->count; i++)
		put_item(to, &set->items[i]);
}

void netd_write_sync(struct text *to, uint32_t number, const struct net_set *wanted)
{
	size_t start = begin_frame(to, NETD_SYNC, number);

	put_set(to, wanted);
	end_frame(to, start);
}

void netd_write_change(struct text *to, uint32_t number, const struct net_set *remove,
		       const struct net_set *add)
{
	size_t start = begin_frame(to, NETD_CHANGE, number);

	put_set(to, remove);
	put_set(to, add);
	end_frame(to, start);
}

static void put_address(struct text *to, const struct ip_address *address)
{
	put_u8(to, address->family);
	text_append_bytes(to, address->bytes, sizeof(address->bytes));
}

static void put_endpoint(struct text *to, const struct endpoint *endpoint)
{
	put_address(to, &endpoint->address);
	put_u16(to, endpoint->port);
	put_u32(to, endpoint->scope_id);
}

void netd_write_bind(struct text *to, uint32_t number, const struct netd_bind *wanted)
{
	size_t start = begin_frame(to, NETD_BIND, number);

	put_u8(to, wanted->kind);
	put_u8(to, wanted->flags);
	put_endpoint(to, &wanted->endpoint);
	end_frame(to, start);
}

void netd_write_plain(struct text *to, uint8_t type, uint32_t number)
{
	end_frame(to, begin_frame(to, type, number));
}

void netd_write_status_request(struct text *to, uint32_t number, uint8_t flags)
{
	size_t start = begin_frame(to, NETD_STATUS, number);

	put_u8(to, flags);
	end_frame(to, start);
}

void netd_write_failed(struct text *to, uint32_t number, const struct fault *fault)
{
	size_t start = begin_frame(to, NETD_FAILED, number);

	put_u32(to, (uint32_t)fault->kind);
	put_string(to, fault->details ? fault->details : "", FAULT_DETAILS_MAX);
	end_frame(to, start);
}

static void put_peer(struct text *to, const struct netd_peer_status *peer)
{
	text_append_bytes(to, peer->public_key, NET_KEY_SIZE);
	put_endpoint(to, &peer->endpoint);
	put_u64(to, peer->last_handshake_s);
	put_u64(to, peer->rx_bytes);
	put_u64(to, peer->tx_bytes);
}

void netd_write_status(struct text *to, uint32_t number, const struct netd_status *status)
{
	size_t start = begin_frame(to, NETD_STATUS_IS, number);

	put_string(to, status->backend, sizeof(status->backend) - 1);
	put_u8(to, status->link_up);
	put_u32(to, status->mtu);
	put_u16(to, status->listen_port);
	put_u64(to, status->drift_found);
	put_u64(to, status->drift_repaired);
	put_string(to, status->drift_last, sizeof(status->drift_last) - 1);
	put_u64(to, status->drift_last_s);
	put_u32(to, (uint32_t)status->peer_count);
	for (size_t i = 0; i < status->peer_count; i++)
		put_peer(to, &status->peers[i]);
	put_u32(to, (uint32_t)status->forward_count);
	for (size_t i = 0; i < status->forward_count; i++) {
		put_address(to, &status->forwards[i].external);
		put_u16(to, status->forwards[i].external_port);
		put_u64(to, status->forwards[i].rx_bytes);
		put_u64(to, status->forwards[i].tx_bytes);
	}
	end_frame(to, start);
}

/* False for an unknown kind; missing bytes are the reader's to tell. */
static bool get_item(struct reader *r, struct net_item *ret)
{
	*ret = (struct net_item){ .kind = reader_u8(r) };
	switch (ret->kind) {
	case NET_LINK:
		reader_copy(r, ret->link.private_key, NET_KEY_SIZE);
		ret->link.listen_port = reader_u16(r);
		ret->link.mtu = reader_u16(r);
		ret->link.ipv6 = reader_u8(r);
		return true;
	case NET_SUBNET:
		ret->subnet.address = reader_u32(r);
		ret->subnet.prefix = reader_u8(r);
		return true;
	case NET_DEVICE:
		reader_copy(r, ret->device.public_key, NET_KEY_SIZE);
		reader_copy(r, ret->device.preshared_key, NET_KEY_SIZE);
		ret->device.address = reader_u32(r);
		reader_copy(r, ret->device.address6, NET_ADDRESS6_SIZE);
		return true;
	case NET_EGRESS:
		ret->egress.source = reader_u32(r);
		ret->egress.prefix = reader_u8(r);
		ret->egress.address = reader_u32(r);
		return true;
	case NET_FORWARD:
		ret->forward.external = reader_u32(r);
		ret->forward.external_port = reader_u16(r);
		ret->forward.count = reader_u16(r);
		ret->forward.target = reader_u32(r);
		ret->forward.target_port = reader_u16(r);
		return true;
	case NET_SUBNET6:
		reader_copy(r, ret->subnet6.address, NET_ADDRESS6_SIZE);
		ret->subnet6.masquerade = reader_u8(r);
		return true;
	case NET_FORWARD6:
		reader_copy(r, ret->forward6.external, NET_ADDRESS6_SIZE);
		ret->forward6.external_port = reader_u16(r);
		ret->forward6.count = reader_u16(r);
		reader_copy(r, ret->forward6.target, NET_ADDRESS6_SIZE);
		ret->forward6.target_port = reader_u16(r);
		return true;
	default:
		return false;
	}
}

static int get_set(struct reader *r, struct net_set *set)
{
	uint32_t count = reader_u32(r);
	struct net_item item;
	int error = 0;

	if (count > NET_ITEMS_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < count && error == 0; i++) {
		if (!get_item(r, &item) || r->failed)
			error = -EBADMSG;
		else
			error = net_set_append(set, &item);
	}
	secret_wipe(&item, sizeof(item));
	net_set_sort(set);
	return error;
}

int netd_parse_sync(const struct netd_frame *frame, struct net_set *ret_wanted)
{
	CLEANUP(net_set_done) struct net_set wanted = { 0 };
	struct reader r;
	int error;

	reader_init(&r, frame->body, frame->body_size);
	error = get_set(&r, &wanted);
	if (error < 0)
		return error;
	if (!reader_done(&r))
		return -EBADMSG;
	*ret_wanted = wanted;
	wanted = (struct net_set){ 0 };
	return 0;
}

int netd_parse_change(const struct netd_frame *frame, struct net_set *ret_remove,
		      struct net_set *ret_add)
{
	CLEANUP(net_set_done) struct net_set remove = { 0 };
	CLEANUP(net_set_done) struct net_set add = { 0 };
	struct reader r;
	int error;

	reader_init(&r, frame->body, frame->body_size);
	error = get_set(&r, &remove);
	if (error == 0)
		error = get_set(&r, &add);
	if (error < 0)
		return error;
	if (!reader_done(&r))
		return -EBADMSG;
	*ret_remove = remove;
	*ret_add = add;
	remove = add = (struct net_set){ 0 };
	return 0;
}

static void get_address(struct reader *r, struct ip_address *ret)
{
	ret->family = reader_u8(r);
	reader_copy(r, ret->bytes, sizeof(ret->bytes));
}

static void get_endpoint(struct reader *r, struct endpoint *ret)
{
	*ret = (struct endpoint){ 0 };
	get_address(r, &ret->address);
	ret->port = reader_u16(r);
	ret->scope_id = reader_u32(r);
}

int netd_parse_bind(const struct netd_frame *frame, struct netd_bind *ret)
{
	struct netd_bind wanted;
	struct reader r;

	reader_init(&r, frame->body, frame->body_size);
	wanted.kind = reader_u8(&r);
	wanted.flags = reader_u8(&r);
	get_endpoint(&r, &wanted.endpoint);
	if (!reader_done(&r))
		return -EBADMSG;
	*ret = wanted;
	return 0;
}

/* Fails the reader where the string is longer than the place for it or holds a NUL. */
static void get_string(struct reader *r, char *to, size_t size)
{
	size_t length = reader_u16(r);
	const uint8_t *bytes = reader_take(r, length);

	to[0] = '\0';
	if (!bytes)
		return;
	if (length >= size || memchr(bytes, '\0', length)) {
		r->failed = true;
		return;
	}
	memcpy(to, bytes, length);
	to[length] = '\0';
}

int netd_parse_failed(const struct netd_frame *frame, struct fault *ret)
{
	char details[FAULT_DETAILS_MAX + 1];
	struct reader r;
	int32_t kind;

	reader_init(&r, frame->body, frame->body_size);
	kind = (int32_t)reader_u32(&r);
	get_string(&r, details, sizeof(details));
	if (!reader_done(&r) || kind == FAULT_NONE)
		return -EBADMSG;
	*ret = (struct fault){ 0 };
	(void)fault_set(ret, (enum fault_kind)kind, "%s", details);
	return 0;
}

static void get_peer(struct reader *r, struct netd_peer_status *ret)
{
	reader_copy(r, ret->public_key, NET_KEY_SIZE);
	get_endpoint(r, &ret->endpoint);
	ret->last_handshake_s = reader_u64(r);
	ret->rx_bytes = reader_u64(r);
	ret->tx_bytes = reader_u64(r);
}

static int get_peers(struct reader *r, struct netd_status *status)
{
	uint32_t count = reader_u32(r);

	if (count > PEERS_MAX)
		return -E2BIG;
	if (count == 0 || r->failed)
		return 0;
	status->peers = calloc(count, sizeof(*status->peers));
	if (!status->peers)
		return -ENOMEM;
	status->peer_count = count;
	for (uint32_t i = 0; i < count && !r->failed; i++)
		get_peer(r, &status->peers[i]);
	return 0;
}

static int get_forwards(struct reader *r, struct netd_status *status)
{
	uint32_t count = reader_u32(r);

	if (count > NET_ITEMS_MAX)
		return -E2BIG;
	if (count == 0 || r->failed)
		return 0;
	status->forwards = calloc(count, sizeof(*status->forwards));
	if (!status->forwards)
		return -ENOMEM;
	status->forward_count = count;
	for (uint32_t i = 0; i < count && !r->failed; i++) {
		get_address(r, &status->forwards[i].external);
		status->forwards[i].external_port = reader_u16(r);
		status->forwards[i].rx_bytes = reader_u64(r);
		status->forwards[i].tx_bytes = reader_u64(r);
	}
	return 0;
}

int netd_parse_status_request(const struct netd_frame *frame, uint8_t *ret_flags)
{
	struct reader r;
	uint8_t flags = 0;

	reader_init(&r, frame->body, frame->body_size);
	if (frame->body_size > 0)
		flags = reader_u8(&r);
	if (!reader_done(&r) || (flags & ~NETD_STATUS_TRAFFIC) != 0)
		return -EBADMSG;
	*ret_flags = flags;
	return 0;
}

int netd_parse_status(const struct netd_frame *frame, struct netd_status *ret)
{
	CLEANUP(netd_status_done) struct netd_status status = { 0 };
	struct reader r;
	int error;

	reader_init(&r, frame->body, frame->body_size);
	get_string(&r, status.backend, sizeof(status.backend));
	status.link_up = reader_u8(&r) != 0;
	status.mtu = reader_u32(&r);
	status.listen_port = reader_u16(&r);
	status.drift_found = reader_u64(&r);
	status.drift_repaired = reader_u64(&r);
	get_string(&r, status.drift_last, sizeof(status.drift_last));
	status.drift_last_s = reader_u64(&r);
	error = get_peers(&r, &status);
	if (error == 0)
		error = get_forwards(&r, &status);
	if (error < 0)
		return error;
	if (!reader_done(&r))
		return -EBADMSG;
	*ret = status;
	status = (struct netd_status){ 0 };
	return 0;
}
