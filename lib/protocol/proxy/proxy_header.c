#include "proxy/proxy_header.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#define VERSION_AND_COMMAND 0x21 /* version 2, PROXY: for somebody else */
#define FAMILY_INET 0x10
#define FAMILY_INET6 0x20
#define TRANSPORT_STREAM 0x01
#define TRANSPORT_DATAGRAM 0x02
#define TYPE_AUTHORITY 0x02
#define TLV_HEAD_SIZE 3
#define PORT_SIZE 2

static const uint8_t signature[12] = { '\r', '\n', '\r', '\n', 0,   '\r',
				       '\n', 'Q',  'U',	 'I',  'T', '\n' };

ssize_t proxy_header_write(const struct proxy_header *header, uint8_t to[PROXY_HEADER_MAX])
{
	const struct endpoint *source = &header->source, *destination = &header->destination;
	bool v4 = source->address.family == AF_INET;
	size_t address = v4 ? 4 : 16, name = header->authority ? strlen(header->authority) : 0;
	size_t size = 2 * (address + PORT_SIZE) + (name > 0 ? TLV_HEAD_SIZE + name : 0);
	struct writer w;

	if ((!v4 && source->address.family != AF_INET6) ||
	    source->address.family != destination->address.family || name > PROXY_AUTHORITY_MAX)
		return -EINVAL;
	writer_init(&w, to, PROXY_HEADER_MAX);
	writer_copy(&w, signature, sizeof(signature));
	writer_u8(&w, VERSION_AND_COMMAND);
	writer_u8(&w, (v4 ? FAMILY_INET : FAMILY_INET6) |
			      (header->datagram ? TRANSPORT_DATAGRAM : TRANSPORT_STREAM));
	writer_u16(&w, (uint16_t)size);
	writer_copy(&w, source->address.bytes, address);
	writer_copy(&w, destination->address.bytes, address);
	writer_u16(&w, source->port);
	writer_u16(&w, destination->port);
	if (name > 0) {
		writer_u8(&w, TYPE_AUTHORITY);
		writer_u16(&w, (uint16_t)name);
		writer_copy(&w, header->authority, name);
	}
	return writer_size(&w);
}
