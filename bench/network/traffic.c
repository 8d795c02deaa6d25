/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The traffic of the network benchmark. One connection at a time; IPv4 and IPv6.
 *
 *   traffic serve PORT                      until it is killed; prints a line once it listens
 *   traffic throughput ADDRESS PORT BYTES   nanoseconds until the server has them all
 *   traffic latency ADDRESS PORT TIMES      nanoseconds for connect, a byte there and back, close
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char data[256 * 1024];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* A first byte 'e' is sent back; behind an 's' all is swallowed, and one byte tells the end. */
static void serve_one(int fd)
{
	ssize_t n = read(fd, data, sizeof(data));

	if (n > 0 && data[0] == 's') {
		while ((n = read(fd, data, sizeof(data))) > 0)
			;
		n = 1;
	}
	if (n > 0)
		(void)!write(fd, data, 1);
	(void)close(fd);
}

static void serve(const char *port)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6,
				       .sin6_port = htons((in_port_t)atoi(port))};
	const int on = 1, off = 0;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 100) < 0)
		die("listen");
	(void)puts("listening");
	(void)fflush(stdout);
	for (;;) {
		int peer = accept(fd, NULL, NULL);

		if (peer >= 0)
			serve_one(peer);
	}
}

static socklen_t parse_address(const char *text, const char *port, struct sockaddr_in6 *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	in_port_t number = htons((in_port_t)atoi(port));

	if (inet_pton(AF_INET6, text, &ret->sin6_addr) == 1) {
		ret->sin6_family = AF_INET6;
		ret->sin6_port = number;
		return sizeof(*ret);
	}
	if (inet_pton(AF_INET, text, &v4->sin_addr) != 1)
		die(text);
	v4->sin_family = AF_INET;
	v4->sin_port = number;
	return sizeof(*v4);
}

static int open_connection(const char *text, const char *port)
{
	struct sockaddr_in6 address = {0};
	socklen_t size = parse_address(text, port, &address);
	int fd = socket(address.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, size) < 0)
		die("connect");
	return fd;
}

static void await_byte(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		die("the server's answer");
	(void)close(fd);
}

static void measure_throughput(const char *address, const char *port, size_t bytes)
{
	int fd = open_connection(address, port);

	memset(data, 's', sizeof(data));
	for (size_t done = 0; done < bytes;) {
		size_t left = bytes - done;
		ssize_t n = write(fd, data, left < sizeof(data) ? left : sizeof(data));

		if (n <= 0)
			die("write");
		done += (size_t)n;
	}
	(void)shutdown(fd, SHUT_WR);
	await_byte(fd);
}

static void measure_latency(const char *address, const char *port, size_t times)
{
	while (times-- > 0) {
		int fd = open_connection(address, port);

		if (write(fd, "e", 1) != 1)
			die("write");
		await_byte(fd);
	}
}

static long long now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char *argv[])
{
	long long start_ns = now_ns();

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	else if (argc == 5 && strcmp(argv[1], "throughput") == 0)
		measure_throughput(argv[2], argv[3], strtoull(argv[4], NULL, 10));
	else if (argc == 5 && strcmp(argv[1], "latency") == 0)
		measure_latency(argv[2], argv[3], strtoull(argv[4], NULL, 10));
	else
		return 2;
	(void)printf("%lld\n", now_ns() - start_ns);
	return 0;
}
