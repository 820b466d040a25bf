/* Verdicts of scorer for programs on the same host: the record, the key of a call, and
 * the shared-memory ring. docs/verdict-abi.md says it in words.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 * C11; header only; little-endian hosts, as scorer itself.
 */
#ifndef SCORER_VERDICT_H
#define SCORER_VERDICT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SCORER_VERDICT_VERSION 1
#define SCORER_RING_VERSION 1
#define SCORER_REASONS 5
#define SCORER_NO_REASON 0xffff

enum scorer_level { SCORER_LOW, SCORER_MEDIUM, SCORER_HIGH, SCORER_CRITICAL };
enum scorer_action { SCORER_PASS, SCORER_TAG, SCORER_DIVERT, SCORER_REJECT, SCORER_DROP };

/* One verdict, 64 bytes. Value of the BPF map, datagram of the form "record". */
struct scorer_verdict {
	uint8_t version;     /* SCORER_VERDICT_VERSION */
	uint8_t score;       /* 0-100: probability of fraud, per cent */
	uint8_t level;       /* enum scorer_level */
	uint8_t action;      /* enum scorer_action: what policy says */
	uint32_t tags;       /* bit set; names in docs/verdict-abi.md */
	uint64_t call;       /* names the call attempt; not computable outside */
	uint64_t timestamp;  /* when the INVITE was seen, ns since the Unix epoch */
	uint64_t fingerprint;
	uint64_t model;      /* first eight bytes of the model's digest */
	uint16_t reasons[SCORER_REASONS]; /* feature ids, strongest first */
	uint8_t reserved[6];
	float probability;   /* 0-1 */
	uint32_t latency;    /* from the kernel's stamp to the verdict, ns, saturating */
};

/* Key of a call in map and ring: FNV-1a, 64 bits, over the Call-ID's bytes as they stand
 * in the message, without blanks around them. */
static inline uint64_t scorer_call_key(const void *call_id, size_t length)
{
	const unsigned char *bytes = (const unsigned char *)call_id;
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash;
}

/* First page of the ring's file. Mapped read-only by readers. */
struct scorer_ring {
	_Atomic uint64_t magic; /* "SCORERVR" */
	_Atomic uint32_t version; /* SCORER_RING_VERSION */
	_Atomic uint32_t header_size;
	_Atomic uint32_t slot_size;
	_Atomic uint32_t slots; /* a power of two */
	_Atomic uint32_t writer; /* process id; 0 when it has ended well */
	_Atomic uint32_t reserved;
	uint64_t padding[4];
	_Atomic uint64_t head; /* position of the next verdict */
	_Atomic uint64_t alive; /* CLOCK_MONOTONIC, ns; at least every 200 ms */
};

struct scorer_slot {
	_Atomic uint64_t sequence; /* 2 * position + 2; odd while it is written */
	_Atomic uint64_t key; /* scorer_call_key of the Call-ID */
	_Atomic uint64_t from_tag; /* the same function of the From tag */
	uint64_t reserved[5];
	_Atomic uint64_t record[8]; /* struct scorer_verdict */
};

_Static_assert(sizeof(struct scorer_verdict) == 64, "record");
_Static_assert(offsetof(struct scorer_verdict, reasons) == 40, "record");
_Static_assert(offsetof(struct scorer_verdict, probability) == 56, "record");
_Static_assert(offsetof(struct scorer_ring, head) == 64, "ring");
_Static_assert(sizeof(struct scorer_slot) == 128, "slot");
_Static_assert(offsetof(struct scorer_slot, record) == 64, "slot");

/* Whether `length` mapped bytes are a ring that this header describes. */
static inline int scorer_ring_good(const struct scorer_ring *ring, size_t length)
{
	uint64_t magic;
	memcpy(&magic, "SCORERVR", 8);
	if (length < sizeof *ring ||
	    atomic_load_explicit(&ring->magic, memory_order_acquire) != magic ||
	    atomic_load_explicit(&ring->version, memory_order_relaxed) != SCORER_RING_VERSION ||
	    atomic_load_explicit(&ring->slot_size, memory_order_relaxed) != 128)
		return 0;
	uint64_t slots = atomic_load_explicit(&ring->slots, memory_order_relaxed);
	uint64_t header = atomic_load_explicit(&ring->header_size, memory_order_relaxed);
	return slots != 0 && (slots & (slots - 1)) == 0 && header >= sizeof *ring &&
	       length >= header + 128 * slots;
}

/* Position of the next verdict: start here to see what comes. */
static inline uint64_t scorer_ring_head(const struct scorer_ring *ring)
{
	return atomic_load_explicit(&ring->head, memory_order_acquire);
}

/* Reads the verdict at *position and moves on. 1: read; 0: it has not come yet;
 * -1: it was written over, and *position is set to the oldest that is left. */
static inline int scorer_ring_read(const struct scorer_ring *ring, uint64_t *position,
				   struct scorer_verdict *verdict, uint64_t *key,
				   uint64_t *from_tag)
{
	const char *base = (const char *)ring;
	uint64_t slots = atomic_load_explicit(&ring->slots, memory_order_relaxed);
	const struct scorer_slot *slot =
		(const struct scorer_slot *)(base +
			atomic_load_explicit(&ring->header_size, memory_order_relaxed) +
			(*position & (slots - 1)) * sizeof *slot);
	uint64_t expected = 2 * *position + 2;
	uint64_t words[8];
	uint64_t before = atomic_load_explicit(&slot->sequence, memory_order_acquire);
	if (before < expected)
		return 0;
	if (before == expected) {
		*key = atomic_load_explicit(&slot->key, memory_order_relaxed);
		*from_tag = atomic_load_explicit(&slot->from_tag, memory_order_relaxed);
		for (int i = 0; i < 8; i++)
			words[i] = atomic_load_explicit(&slot->record[i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&slot->sequence, memory_order_relaxed) == expected) {
			memcpy(verdict, words, sizeof *verdict);
			*position += 1;
			return 1;
		}
	}
	uint64_t head = scorer_ring_head(ring);
	*position = head > slots ? head - slots : 0;
	return -1;
}

#endif
