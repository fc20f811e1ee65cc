/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small datagrams with as little of our own as can be: many a system call, and a receiver that sleeps by the clock, so that no packet
 * wakes it. What is left is the way between the sockets.
 *
 *   datagrams send <address> <port> <octets> <milliseconds>     prints how many it sent
 *   datagrams receive <port>                                     prints how many came, at each line on its standard input
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define OCTETS 2048
#define NAP_NS 500000
#define RECEIVE_BUFFER (32 << 20)

static struct mmsghdr messages[BATCH];
static struct iovec parts[BATCH];
static char octets[BATCH][OCTETS];

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static void prepare(size_t length)
{
	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ .iov_base = octets[i], .iov_len = length };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
}

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int send_all(int fd, const struct sockaddr_in *to, size_t length, long long ms)
{
	unsigned long long sent = 0;
	long long start = now_ns(), end = start + ms * 1000000;

	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		return fail("connect");
	prepare(length);
	while (now_ns() < end) {
		int n = sendmmsg(fd, messages, BATCH, 0);

		if (n < 0)
			return fail("sendmmsg");
		sent += n;
	}
	printf("%llu %lld\n", sent, now_ns() - start);
	return 0;
}

static int receive_all(int fd, const struct sockaddr_in *at)
{
	unsigned long long received = 0;
	int size = RECEIVE_BUFFER;
	struct pollfd input = { .fd = 0, .events = POLLIN };
	const struct timespec nap = { .tv_nsec = NAP_NS };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		return fail("SO_RCVBUFFORCE");
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)))
		return fail("bind");
	printf("ready\n");
	fflush(stdout);
	prepare(OCTETS);
	for (;;) {
		int n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, 0);

		if (n > 0) {
			received += n;
			continue;
		}
		if (poll(&input, 1, 0) > 0) {
			char line[64];
			ssize_t got = read(0, line, sizeof(line));

			if (got <= 0)
				return 0;
			printf("%llu\n", received);
			fflush(stdout);
		}
		nanosleep(&nap, 0);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		return fail("socket");
	if (argc == 6 && !strcmp(argv[1], "send") && inet_pton(AF_INET, argv[2], &address.sin_addr) == 1) {
		address.sin_port = htons(atoi(argv[3]));
		return send_all(fd, &address, atoi(argv[4]) < OCTETS ? atoi(argv[4]) : OCTETS, atoll(argv[5]));
	}
	if (argc == 3 && !strcmp(argv[1], "receive")) {
		address.sin_port = htons(atoi(argv[2]));
		return receive_all(fd, &address);
	}
	fprintf(stderr, "usage: datagrams send <address> <port> <octets> <milliseconds> | receive <port>\n");
	return 2;
}
