#include <endian.h>

#include "base/bytes.h"
#include "base/secret.h"
#include "wireguard/device_internal.h"
#include "wireguard/ip_packet.h"
#include "wireguard/message.h"

int session_new(struct wg_peer *peer, const struct noise_keys *keys, bool initiator,
		struct wg_time now, struct session **ret)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->peer = peer;
	session->initiator = initiator;
	session->born_ns = now.monotonic_ns;
	if (aead_key_new(keys->send, AEAD_SEAL, &session->seal) < 0 ||
	    aead_key_new(keys->receive, AEAD_OPEN, &session->open) < 0) {
		session_free(session);
		return -ENOMEM;
	}
	*ret = session;
	return 0;
}

struct session *session_free(struct session *session)
{
	if (!session)
		return NULL;
	index_table_remove(&session->peer->device->indices, session->local_index);
	aead_key_free(session->seal);
	aead_key_free(session->open);
	secret_wipe(session, sizeof(*session));
	free(session);
	return NULL;
}

bool session_can_send(const struct session *session, size_t count, struct wg_time now)
{
	return session && now.monotonic_ns < session->born_ns + REJECT_AFTER_TIME &&
	       session->send_counter < REJECT_AFTER_MESSAGES - count;
}

bool session_can_receive(const struct session *session, struct wg_time now)
{
	return session && now.monotonic_ns < session->born_ns + REJECT_AFTER_TIME;
}

/* The size up to which a packet is padded: a multiple of 16, but not beyond the MTU. */
static size_t padded_size(size_t size, size_t mtu)
{
	size_t padded = (size + 15) & ~(size_t)15;

	if (padded <= mtu)
		return padded;
	return size < mtu ? mtu : size;
}

/* Writes header and padding; the data of @buffer is what is to be encrypted, and grows by them. */
static void frame_packet(struct session *session, struct wg_buffer *buffer, size_t mtu,
			 struct aead_packet *ret)
{
	size_t size = padded_size(buffer->size, mtu);
	struct writer w;

	buffer->ds = ip_packet_ecn(buffer->data, buffer->size);
	memset(buffer->data + buffer->size, 0, size - buffer->size);
	*ret = (struct aead_packet){ buffer->data, size, session->send_counter++, false };

	buffer->data -= MESSAGE_DATA_HEADER;
	buffer->size = MESSAGE_DATA_HEADER + size + AEAD_TAG_SIZE;
	writer_init(&w, buffer->data, MESSAGE_DATA_HEADER);
	writer_u32le(&w, MESSAGE_DATA);
	writer_u32le(&w, session->remote_index);
	writer_u64le(&w, ret->counter);
}

size_t session_seal(struct session *session, struct wg_buffer *buffers, size_t count, size_t mtu)
{
	struct aead_packet packets[AEAD_BATCH_MAX];
	size_t bytes = 0;

	while (count > 0) {
		size_t batch = count < AEAD_BATCH_MAX ? count : AEAD_BATCH_MAX;

		for (size_t i = 0; i < batch; i++) {
			frame_packet(session, &buffers[i], mtu, &packets[i]);
			bytes += buffers[i].size;
		}
		aead_seal(session->seal, packets, batch);
		buffers += batch;
		count -= batch;
	}
	return bytes;
}
