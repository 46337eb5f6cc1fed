/*
 * A batch is NFNL_MSG_BATCH_BEGIN, messages, NFNL_MSG_BATCH_END. Each message carries one element:
 * it costs a header, and spares the bookkeeping of the 64 KiB that a nested attribute may hold.
 */
#include "system/nft_table.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <string.h>

#define BATCH_MAX (256U << 20)
#define MESSAGE_ROOM 512 /* more than any message of a batch here needs */
#define REQUEST_MAX 512
#define READ_TRIES 8 /* of what changes while it is read */

static struct nlmsghdr *put_header(void *at, unsigned type, uint16_t flags, uint8_t family,
				   uint16_t resource)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct nfgenmsg *general;

	message->nlmsg_type = (uint16_t)type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
	general->nfgen_family = family;
	general->version = NFNETLINK_V0;
	general->res_id = htons(resource);
	return message;
}

static unsigned nft_type(unsigned type)
{
	return NFNL_SUBSYS_NFTABLES << 8 | type;
}

void nft_batch_done(struct nft_batch *batch)
{
	free(batch->bytes);
	*batch = (struct nft_batch){ 0 };
}

/* Room for one more message, or NULL with the error kept. */
static char *batch_room(struct nft_batch *batch)
{
	size_t capacity = batch->capacity ? batch->capacity : 4096;
	char *bytes;

	if (batch->error)
		return NULL;
	if (batch->size + MESSAGE_ROOM > BATCH_MAX) {
		batch->error = -E2BIG;
		return NULL;
	}
	while (capacity < batch->size + MESSAGE_ROOM)
		capacity *= 2;
	if (capacity != batch->capacity) {
		bytes = realloc(batch->bytes, capacity);
		if (!bytes) {
			batch->error = -ENOMEM;
			return NULL;
		}
		batch->bytes = bytes;
		batch->capacity = capacity;
	}
	memset(batch->bytes + batch->size, 0, MESSAGE_ROOM);
	return batch->bytes + batch->size;
}

static void batch_frame(struct nft_batch *batch, struct netlink *nl, unsigned type)
{
	char *at = batch_room(batch);
	struct nlmsghdr *message;

	if (!at)
		return;
	message = put_header(at, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message->nlmsg_seq = netlink_next_sequence(nl);
	batch->size += message->nlmsg_len;
}

static void put_data(struct nlmsghdr *message, uint16_t type, const uint8_t *data, size_t size)
{
	struct nlattr *nested = mnl_attr_nest_start(message, type);

	mnl_attr_put(message, NFTA_DATA_VALUE, size, data);
	mnl_attr_nest_end(message, nested);
}

static void put_element(struct nlmsghdr *message, const struct nft_element *element,
			bool with_value)
{
	struct nlattr *list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
	struct nlattr *nested = mnl_attr_nest_start(message, NFTA_LIST_ELEM);

	if (element->interval_end)
		mnl_attr_put_u32(message, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
	put_data(message, NFTA_SET_ELEM_KEY, element->key, element->key_size);
	if (element->key_end_size)
		put_data(message, NFTA_SET_ELEM_KEY_END, element->key_end, element->key_end_size);
	if (with_value && element->value_size)
		put_data(message, NFTA_SET_ELEM_DATA, element->value, element->value_size);
	mnl_attr_nest_end(message, nested);
	mnl_attr_nest_end(message, list);
}

static void batch_element(struct nft_batch *batch, struct netlink *nl, unsigned type,
			  uint16_t flags, const char *table, const char *set,
			  const struct nft_element *element)
{
	struct nlmsghdr *message;
	char *at;

	if (batch->changes == 0)
		batch_frame(batch, nl, NFNL_MSG_BATCH_BEGIN);
	at = batch_room(batch);
	if (!at)
		return;
	message = put_header(at, nft_type(type), flags, NFPROTO_INET, 0);
	message->nlmsg_seq = netlink_next_sequence(nl);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
	put_element(message, element, type == NFT_MSG_NEWSETELEM);
	batch->last_offset = batch->size;
	batch->size += message->nlmsg_len;
	batch->changes++;
}

void nft_batch_add(struct nft_batch *batch, struct netlink *nl, const char *table, const char *set,
		   const struct nft_element *element, bool exclusive)
{
	batch_element(batch, nl, NFT_MSG_NEWSETELEM,
		      (uint16_t)(NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0)), table, set, element);
}

void nft_batch_remove(struct nft_batch *batch, struct netlink *nl, const char *table,
		      const char *set, const struct nft_element *element)
{
	batch_element(batch, nl, NFT_MSG_DELSETELEM, 0, table, set, element);
}

int nft_batch_commit(struct nft_batch *batch, struct netlink *nl)
{
	struct nlmsghdr *last;

	if (batch->changes == 0)
		return batch->error;
	batch_frame(batch, nl, NFNL_MSG_BATCH_END);
	if (batch->error)
		return batch->error;
	last = (struct nlmsghdr *)(void *)(batch->bytes + batch->last_offset);
	last->nlmsg_flags |= NLM_F_ACK;
	return netlink_batch(nl, batch->bytes, batch->size);
}

struct element_walk {
	nft_visit_element visit;
	void *context;
	struct nft_element element;
	bool known; /* every part has a form that fits */
	int error;
};

static int read_data(const struct nlattr *attribute, void *context)
{
	const struct nlattr **data = context;

	if (mnl_attr_get_type(attribute) == NFTA_DATA_VALUE)
		*data = attribute;
	return MNL_CB_OK;
}

static uint8_t copy_data(const struct nlattr *attribute, struct element_walk *walk,
			 uint8_t to[NFT_ELEMENT_MAX])
{
	const struct nlattr *data = NULL;
	size_t size;

	(void)mnl_attr_parse_nested(attribute, read_data, &data);
	size = data ? mnl_attr_get_payload_len(data) : 0;
	if (size == 0 || size > NFT_ELEMENT_MAX) {
		walk->known = false;
		return 0;
	}
	memcpy(to, mnl_attr_get_payload(data), size);
	return (uint8_t)size;
}

/* A counter is the one thing that our sets attach to their elements, so its name is not looked at. */
static int read_counter(const struct nlattr *attribute, void *context)
{
	struct nft_element *element = context;
	bool fits = mnl_attr_validate(attribute, MNL_TYPE_U64) == 0;

	if (fits && mnl_attr_get_type(attribute) == NFTA_COUNTER_BYTES)
		element->bytes = be64toh(mnl_attr_get_u64(attribute));
	if (fits && mnl_attr_get_type(attribute) == NFTA_COUNTER_PACKETS)
		element->packets = be64toh(mnl_attr_get_u64(attribute));
	return MNL_CB_OK;
}

static int read_expression(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == NFTA_EXPR_DATA)
		(void)mnl_attr_parse_nested(attribute, read_counter, context);
	return MNL_CB_OK;
}

static int read_element_attribute(const struct nlattr *attribute, void *context)
{
	struct element_walk *walk = context;
	struct nft_element *element = &walk->element;

	switch (mnl_attr_get_type(attribute)) {
	case NFTA_SET_ELEM_KEY:
		element->key_size = copy_data(attribute, walk, element->key);
		break;
	case NFTA_SET_ELEM_KEY_END:
		element->key_end_size = copy_data(attribute, walk, element->key_end);
		break;
	case NFTA_SET_ELEM_DATA:
		element->value_size = copy_data(attribute, walk, element->value);
		break;
	case NFTA_SET_ELEM_EXPR:
		(void)mnl_attr_parse_nested(attribute, read_expression, element);
		break;
	case NFTA_SET_ELEM_FLAGS:
		element->interval_end = ntohl(mnl_attr_get_u32(attribute)) &
					NFT_SET_ELEM_INTERVAL_END;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int read_element(const struct nlattr *attribute, void *context)
{
	struct element_walk *walk = context;

	if (mnl_attr_get_type(attribute) != NFTA_LIST_ELEM || walk->error < 0)
		return MNL_CB_OK;
	walk->element = (struct nft_element){ 0 };
	walk->known = true;
	(void)mnl_attr_parse_nested(attribute, read_element_attribute, walk);
	if (walk->known)
		walk->error = walk->visit(&walk->element, walk->context);
	return MNL_CB_OK;
}

static int read_element_list(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == NFTA_SET_ELEM_LIST_ELEMENTS)
		(void)mnl_attr_parse_nested(attribute, read_element, context);
	return MNL_CB_OK;
}

static int visit_elements(const struct nlmsghdr *message, void *context)
{
	struct element_walk *walk = context;

	(void)mnl_attr_parse(message, sizeof(struct nfgenmsg), read_element_list, walk);
	return walk->error;
}

int nft_elements_each(struct netlink *nl, const char *table, const char *set,
		      nft_visit_element visit, void *context)
{
	struct element_walk walk = { .visit = visit, .context = context };
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MAX] = { 0 };
	struct nlmsghdr *message =
		put_header(buffer, nft_type(NFT_MSG_GETSETELEM), NLM_F_DUMP, NFPROTO_INET, 0);

	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
	return netlink_request(nl, message, visit_elements, &walk);
}

/* Which attributes of a message make up its picture: not handles, counts and what users wrote. */
struct kind_of_object {
	unsigned get;
	unsigned answer;
	uint64_t attributes;
};

#define ATTRIBUTE(number) (UINT64_C(1) << (number))

static const struct kind_of_object objects[] = {
	{ NFT_MSG_GETTABLE, NFT_MSG_NEWTABLE, ATTRIBUTE(NFTA_TABLE_FLAGS) },
	{ NFT_MSG_GETCHAIN, NFT_MSG_NEWCHAIN,
	  ATTRIBUTE(NFTA_CHAIN_NAME) | ATTRIBUTE(NFTA_CHAIN_HOOK) | ATTRIBUTE(NFTA_CHAIN_POLICY) |
		  ATTRIBUTE(NFTA_CHAIN_TYPE) | ATTRIBUTE(NFTA_CHAIN_FLAGS) },
	{ NFT_MSG_GETRULE, NFT_MSG_NEWRULE,
	  ATTRIBUTE(NFTA_RULE_CHAIN) | ATTRIBUTE(NFTA_RULE_EXPRESSIONS) },
	{ NFT_MSG_GETSET, NFT_MSG_NEWSET,
	  ATTRIBUTE(NFTA_SET_NAME) | ATTRIBUTE(NFTA_SET_FLAGS) | ATTRIBUTE(NFTA_SET_KEY_TYPE) |
		  ATTRIBUTE(NFTA_SET_KEY_LEN) | ATTRIBUTE(NFTA_SET_DATA_TYPE) |
		  ATTRIBUTE(NFTA_SET_DATA_LEN) | ATTRIBUTE(NFTA_SET_TIMEOUT) |
		  ATTRIBUTE(NFTA_SET_EXPR) | ATTRIBUTE(NFTA_SET_EXPRESSIONS) },
};

struct picture {
	const struct kind_of_object *object;
	const char *table;
	struct text *to;
	bool about;
};

/* The name of the table is attribute 1 of every kind of message of nf_tables but NEWGEN. */
static int read_table_name(const struct nlattr *attribute, void *context)
{
	struct picture *picture = context;
	size_t size = strlen(picture->table) + 1;

	if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME &&
	    mnl_attr_get_payload_len(attribute) == size &&
	    memcmp(mnl_attr_get_payload(attribute), picture->table, size) == 0)
		picture->about = true;
	return MNL_CB_OK;
}

bool nft_message_is_about(const struct nlmsghdr *message, const char *table)
{
	const struct nfgenmsg *general = mnl_nlmsg_get_payload(message);
	struct picture picture = { .table = table };

	if (message->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
	    (message->nlmsg_type & 0xff) == NFT_MSG_NEWGEN || general->nfgen_family != NFPROTO_INET)
		return false;
	(void)mnl_attr_parse(message, sizeof(*general), read_table_name, &picture);
	return picture.about;
}

static int draw_attribute(const struct nlattr *attribute, void *context)
{
	const struct picture *picture = context;

	if (picture->object->attributes & ATTRIBUTE(mnl_attr_get_type(attribute)))
		text_append_bytes(picture->to, attribute, attribute->nla_len);
	return MNL_CB_OK;
}

static int draw(const struct nlmsghdr *message, void *context)
{
	struct picture *picture = context;

	if (message->nlmsg_type != nft_type(picture->object->answer) ||
	    !nft_message_is_about(message, picture->table))
		return 0;
	text_append_char(picture->to, (char)picture->object->answer);
	(void)mnl_attr_parse(message, sizeof(struct nfgenmsg), draw_attribute, picture);
	return 0;
}

static int draw_objects(struct netlink *nl, const char *table, struct text *to)
{
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		struct picture picture = { .object = &objects[i], .table = table, .to = to };
		_Alignas(struct nlmsghdr) char buffer[REQUEST_MAX] = { 0 };
		struct nlmsghdr *message =
			put_header(buffer, nft_type(objects[i].get), 0, NFPROTO_INET, 0);
		int r;

		if (objects[i].get != NFT_MSG_GETTABLE)
			message->nlmsg_flags |= NLM_F_DUMP;
		if (objects[i].get == NFT_MSG_GETTABLE || objects[i].get == NFT_MSG_GETRULE)
			mnl_attr_put_strz(message, NFTA_TABLE_NAME, table);
		r = netlink_request(nl, message, draw, &picture);
		if (r < 0)
			return r;
	}
	return text_error(to);
}

int nft_table_picture(struct netlink *nl, const char *table, struct text *to)
{
	int r = -EINTR;

	for (int i = 0; i < READ_TRIES && r == -EINTR; i++) {
		text_clear(to);
		r = draw_objects(nl, table, to);
	}
	return r;
}

int nft_load(const char *text, struct text *to_error)
{
	struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);
	int r = -ENOMEM;

	if (!context)
		return -ENOMEM;
	if (nft_ctx_buffer_error(context) == 0 && nft_ctx_buffer_output(context) == 0) {
		r = nft_run_cmd_from_buffer(context, text) == 0 ? 0 : -EINVAL;
		if (r < 0)
			text_append(to_error, nft_ctx_get_error_buffer(context));
	}
	nft_ctx_free(context);
	return r;
}
