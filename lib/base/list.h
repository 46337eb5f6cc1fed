/*
 * Intrusive doubly linked list
 *
 * A node is embedded in its object; an object finds itself with container_of(). A head is a node
 * that belongs to no object. A node that is in no list points at itself.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"

struct list {
	struct list *next;
	struct list *previous;
};

static inline void list_init(struct list *node)
{
	node->next = node->previous = node;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/* Appends at the end of the list that @head stands for. */
static inline void list_append(struct list *head, struct list *node)
{
	node->next = head;
	node->previous = head->previous;
	head->previous->next = node;
	head->previous = node;
}

/* Takes the node out of its list, if it is in one. */
static inline void list_remove(struct list *node)
{
	node->previous->next = node->next;
	node->next->previous = node->previous;
	list_init(node);
}

/* The loop's body may remove the current node. */
#define list_foreach(node, head)                                                                   \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head);          \
	     node = node##_next, node##_next = node->next)
