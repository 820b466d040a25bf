/* Prints verdicts of scorer from its shared-memory ring, and looks calls up in its BPF
 * map. An example to build upon, and what the tests run.
 *
 *   cc -std=c11 -Wall -Wextra -Werror -O2 -I packaging/include \
 *      -o verdict_reader packaging/examples/verdict_reader.c
 *   ./verdict_reader ring /dev/shm/scorer-verdicts [--from-start] [--count N]
 *   ./verdict_reader map /sys/fs/bpf/scorer/verdicts CALL-ID...
 *
 * A line a verdict: key, From tag's key (0 from the map), score, level, action, tags,
 * timestamp, model, probability, latency, reasons. No library beside libc is needed.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "scorer_verdict.h"

static void print(const struct scorer_verdict *verdict, uint64_t key, uint64_t from_tag)
{
	printf("%016" PRIx64 " %016" PRIx64 " %u %u %u %08" PRIx32 " %" PRIu64 " %016" PRIx64
	       " %.6f %" PRIu32,
	       key, from_tag, verdict->score, verdict->level, verdict->action, verdict->tags,
	       verdict->timestamp, verdict->model, (double)verdict->probability,
	       verdict->latency);
	for (int i = 0; i < SCORER_REASONS && verdict->reasons[i] != SCORER_NO_REASON; i++)
		printf(" %u", verdict->reasons[i]);
	putchar('\n');
	fflush(stdout);
}

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static int read_ring(const char *path, int from_start, unsigned long count)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat about;
	if (fd < 0 || fstat(fd, &about) != 0)
		return fail(path);
	size_t length = (size_t)about.st_size;
	const struct scorer_ring *ring =
		length ? mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
	if (ring == MAP_FAILED || !scorer_ring_good(ring, length)) {
		fprintf(stderr, "%s is no ring of verdicts\n", path);
		return 1;
	}
	uint64_t position = scorer_ring_head(ring);
	if (from_start) {
		uint64_t slots = atomic_load_explicit(&ring->slots, memory_order_relaxed);
		position = position > slots ? position - slots : 0;
	}
	fprintf(stderr, "reading\n");
	for (unsigned idle = 0; count > 0;) {
		struct scorer_verdict verdict;
		uint64_t key, from_tag;
		switch (scorer_ring_read(ring, &position, &verdict, &key, &from_tag)) {
		case 1:
			print(&verdict, key, from_tag);
			count--;
			idle = 0;
			break;
		case -1:
			fprintf(stderr, "too slow: some verdicts were written over\n");
			break;
		default:
			/* Spin for a while, then nap: 50 microseconds cost next to nothing. */
			if (++idle > 1000)
				nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
		}
	}
	return 0;
}

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

static int read_map(const char *path, int calls, char **call_ids)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.pathname = (uint64_t)(uintptr_t)path;
	attr.file_flags = BPF_F_RDONLY;
	int fd = bpf(BPF_OBJ_GET, &attr);
	if (fd < 0)
		return fail(path);
	int missing = 0;
	for (int i = 0; i < calls; i++) {
		struct scorer_verdict verdict;
		uint64_t key = scorer_call_key(call_ids[i], strlen(call_ids[i]));
		memset(&attr, 0, sizeof attr);
		attr.map_fd = (uint32_t)fd;
		attr.key = (uint64_t)(uintptr_t)&key;
		attr.value = (uint64_t)(uintptr_t)&verdict;
		if (bpf(BPF_MAP_LOOKUP_ELEM, &attr) == 0) {
			print(&verdict, key, 0);
		} else if (errno == ENOENT) {
			fprintf(stderr, "no verdict for %s\n", call_ids[i]);
			missing = 1;
		} else {
			return fail(path);
		}
	}
	return missing;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "map") == 0)
		return read_map(argv[2], argc - 3, argv + 3);
	if (argc >= 3 && strcmp(argv[1], "ring") == 0) {
		int from_start = 0;
		unsigned long count = (unsigned long)-1;
		for (int i = 3; i < argc; i++) {
			if (strcmp(argv[i], "--from-start") == 0)
				from_start = 1;
			else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
				count = strtoul(argv[++i], NULL, 10);
		}
		return read_ring(argv[2], from_start, count);
	}
	fprintf(stderr, "usage: %s ring FILE [--from-start] [--count N] | map PIN CALL-ID...\n",
		argv[0]);
	return 2;
}
