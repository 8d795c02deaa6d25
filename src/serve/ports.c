/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Binds the ports of a machine and keeps the proxies in step with them. Must never share a port:
 * no SO_REUSEPORT, and no SO_REUSEADDR for UDP. Supervisor's side.
 */
#include "serve/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "lib/fd.h"
#include "lib/macro.h"
#include "lib/str.h"
#include "log/log.h"
#include "serve/port_owner.h"
#include "serve/proxy.h"
#include "serve/proxy_udp.h"

/* Descriptors below are left free for code that runs under the original limit. */
#define FDS_LOW_MAX 256
#define ADDRESSES_MAX 2 /* 0.0.0.0 and [::] */

struct bound {
	int fd;
	uint16_t guest_port;
};

struct forward {
	struct net_port port;
	struct bound *sockets; /* until a proxy has them; those of SCTP stay here */
	size_t count;
};

struct ports {
	struct event_loop *loop;
	const char *machine;
	struct forward **forwards;
	struct net_port *list; /* the same, for ports_get() */
	size_t count;
	struct proxy_target target;
	struct proxy *tcp;
	struct proxy_udp *udp; /* with the first UDP port */
	struct rlimit limit;   /* as it was */
	bool has_warned;
};

static const char *protocol_name(int protocol)
{
	return protocol == IPPROTO_UDP ? "udp" : protocol == IPPROTO_SCTP ? "sctp" : "tcp";
}

static unsigned range_size(const struct net_port *port)
{
	return port->last - port->first + 1U;
}

static bool is_bindable(const struct net_port *port)
{
	return range_size(port) <= PORTS_RANGE_MAX;
}

/* Such ports are not bound, or not on every kernel. */
bool ports_needs_filter(const struct net_port *port)
{
	return port->protocol == IPPROTO_SCTP || !is_bindable(port);
}

/* "8080/tcp", "[::1]:53/udp" */
static char *name_port(const struct net_port *port, unsigned number)
{
	char address[NET_ADDRESS_TEXT];
	bool is_v6 = port->bind.family == AF_INET6;

	(void)net_address_format(&port->bind, address);
	return str_printf("%s%s%s%s%u/%s", is_v6 ? "[" : "", address, is_v6 ? "]" : "",
			  *address ? ":" : "", number, protocol_name(port->protocol));
}

void ports_failure_done(struct ports_failure *failure)
{
	free(failure->text);
	free(failure->owner);
	*failure = (struct ports_failure){};
}

static struct net_port one_of(const struct net_port *port, unsigned number)
{
	struct net_port one = *port;

	one.first = one.last = (uint16_t)number;
	one.guest_first = (uint16_t)(port->guest_first + (number - port->first));
	return one;
}

/* Taken by `owner`; NULL: a search would have to find out. */
static int fail_taken(const struct net_port *port, unsigned number, const char *owner,
		      struct ports_failure *ret)
{
	autofree char *name = name_port(port, number);

	ret->port = one_of(port, number);
	ret->owner = owner ? strdup(owner) : NULL;
	ret->text = str_printf("%s is taken", name);
	return -EADDRINUSE;
}

static int fail(const struct net_port *port, unsigned number, int error, struct ports_failure *ret)
{
	autofree char *name = name_port(port, number);
	char address[NET_ADDRESS_TEXT];

	(void)net_address_format(&port->bind, address);
	if (error == -EADDRINUSE)
		return fail_taken(port, number, NULL, ret);
	if (error == -EADDRNOTAVAIL)
		ret->text =
			str_printf("%s can't be had: this host has no address %s", name, address);
	else if (error == -EACCES)
		ret->text = str_printf("%s can't be had: binding it is not allowed here", name);
	else
		ret->text = str_printf("%s can't be had: %s", name, strerror(-error));
	return error;
}

/* Moves the descriptor above the low numbers, or returns it as it is. */
static int move_up(int fd, const struct rlimit *old)
{
	int higher;

	if ((rlim_t)fd < MIN(old->rlim_cur / 2, (rlim_t)FDS_LOW_MAX))
		return fd;
	higher = fcntl(fd, F_DUPFD_CLOEXEC, (int)MIN(old->rlim_cur, (rlim_t)1 << 20));
	if (higher < 0)
		return fd;
	(void)close(fd);
	return higher;
}

static int bind_socket(int fd, const struct net_address *address, uint16_t port)
{
	struct sockaddr_in v4 = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address->v4};
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = address->v6};
	int r = address->family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof(v4))
					   : bind(fd, (struct sockaddr *)&v6, sizeof(v6));

	return r < 0 ? -errno : 0;
}

static int open_socket(int protocol, const struct net_address *address, uint16_t port)
{
	const int on = 1;
	int type = protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
	autoclose int fd = socket(address->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int r;

	if (fd < 0)
		return -errno;
	/* Connections of the last boot in TIME_WAIT must not prevent binding. */
	if (protocol == IPPROTO_TCP &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (address->family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	r = bind_socket(fd, address, port);
	/* Of two that are bound with SO_REUSEADDR, the first to listen has it. */
	if (r >= 0 && protocol == IPPROTO_TCP && listen(fd, SOMAXCONN) < 0)
		r = -errno;
	return r < 0 ? r : take_fd(&fd);
}

static bool is_no_family(int error)
{
	return error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL;
}

static bool is_no_protocol(int error)
{
	return error == -EPROTONOSUPPORT || error == -ESOCKTNOSUPPORT;
}

static void close_sockets(struct forward *forward)
{
	while (forward->count > 0)
		(void)close(forward->sockets[--forward->count].fd);
}

static int bind_port(struct ports *ports, struct forward *forward, uint16_t number)
{
	const struct net_port *port = &forward->port;
	const struct net_address all[ADDRESSES_MAX] = {{.family = AF_INET}, {.family = AF_INET6}};
	bool is_for_all = !net_address_is_set(&port->bind);
	const struct net_address *addresses = is_for_all ? all : &port->bind;

	for (size_t i = 0; i < (is_for_all ? ADDRESSES_MAX : 1); i++) {
		int fd = open_socket(port->protocol, &addresses[i], number);

		if (is_for_all && addresses[i].family == AF_INET6 && is_no_family(fd))
			continue;
		/* Most kernels forward SCTP, but have no sockets of it. */
		if (port->protocol == IPPROTO_SCTP && is_no_protocol(fd))
			continue;
		if (fd < 0)
			return fd;
		forward->sockets[forward->count++] = (struct bound){
			.fd = move_up(fd, &ports->limit),
			.guest_port = (uint16_t)(port->guest_first + (number - port->first)),
		};
	}
	return 0;
}

static int bind_range(struct ports *ports, struct forward *forward, struct ports_failure *ret)
{
	const struct net_port *port = &forward->port;

	forward->sockets = calloc(range_size(port) * ADDRESSES_MAX, sizeof(*forward->sockets));
	if (!forward->sockets)
		return -ENOMEM;
	for (unsigned number = port->first; number <= port->last; number++) {
		int r = bind_port(ports, forward, (uint16_t)number);

		if (r < 0)
			return fail(port, number, r, ret);
	}
	return 0;
}

/* A proxy takes its descriptor, whatever happens. */
static int give_to_proxies(struct ports *ports, struct forward *forward)
{
	int r = 0;

	if (forward->port.protocol == IPPROTO_SCTP)
		return 0;
	while (r >= 0 && forward->count > 0) {
		const struct bound *bound = &forward->sockets[--forward->count];

		r = forward->port.protocol == IPPROTO_UDP
			    ? proxy_udp_listen(ports->udp, bound->fd, bound->guest_port, forward)
			    : proxy_listen(ports->tcp, bound->fd, bound->guest_port, forward);
	}
	return r;
}

/* For a port that its owner may not have bound: asks other machines' states and the table of
 * sockets. */
static int check_unbound(const struct ports *ports, const struct net_port *port,
			 struct ports_failure *ret)
{
	struct port_query query = {.protocol = port->protocol,
				   .address = port->bind,
				   .first = port->first,
				   .last = port->last};
	autofree char *owner = NULL;
	uint16_t taken;

	if (port_owner_find_forward(ports->machine, port, &taken, &owner) > 0)
		return fail_taken(port, taken, owner, ret);
	if (port_owner_find_taken(&query, &taken) > 0)
		return fail_taken(port, taken, NULL, ret);
	return 0;
}

static int check_range(const struct ports *ports, const struct net_port *port,
		       struct ports_failure *ret)
{
	for (size_t i = 0; i < ports->count; i++)
		if (net_port_overlaps(&ports->list[i], port))
			return fail_taken(port, MAX(port->first, ports->list[i].first),
					  "this machine itself", ret);
	return ports_needs_filter(port) ? check_unbound(ports, port, ret) : 0;
}

static void forward_free(struct ports *ports, struct forward *forward)
{
	if (!forward)
		return;
	proxy_drop(ports->tcp, forward);
	if (ports->udp)
		proxy_udp_drop(ports->udp, forward);
	close_sockets(forward);
	free(forward->sockets);
	free(forward);
}

static int need_udp(struct ports *ports)
{
	int r;

	if (ports->udp)
		return 0;
	r = proxy_udp_new(ports->loop, PROXY_UDP_IDLE_US, &ports->udp);
	if (r >= 0)
		proxy_udp_set_target(ports->udp, &ports->target);
	return r;
}

/* The limit of descriptors, as high as allowed. */
static void raise_limit(const struct ports *ports)
{
	struct rlimit limit = ports->limit;

	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void restore_limit(const struct ports *ports)
{
	(void)setrlimit(RLIMIT_NOFILE, &ports->limit);
}

static bool has_target(const struct ports *ports)
{
	return net_address_is_set(&ports->target.v4) || net_address_is_set(&ports->target.v6);
}

static int bind_forward(struct ports *ports, struct forward *forward, struct ports_failure *ret)
{
	int r = forward->port.protocol == IPPROTO_UDP ? need_udp(ports) : 0;

	if (r >= 0)
		r = bind_range(ports, forward, ret);
	return r < 0 ? r : give_to_proxies(ports, forward);
}

static int make_forward(struct ports *ports, const struct net_port *port, struct forward **ret,
			struct ports_failure *ret_failure)
{
	struct forward *forward = calloc(1, sizeof(*forward));
	int r;

	if (!forward)
		return -ENOMEM;
	forward->port = *port;
	r = check_range(ports, port, ret_failure);
	if (r >= 0 && is_bindable(port)) {
		raise_limit(ports);
		r = bind_forward(ports, forward, ret_failure);
		if (!has_target(ports))
			restore_limit(ports);
	}
	if (r < 0) {
		forward_free(ports, forward);
		return r;
	}
	*ret = forward;
	return 0;
}

static int make_room(struct ports *ports)
{
	struct forward **forwards =
		reallocarray(ports->forwards, ports->count + 1, sizeof(struct forward *));
	struct net_port *list;

	if (!forwards)
		return -ENOMEM;
	ports->forwards = forwards;
	list = reallocarray(ports->list, ports->count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	ports->list = list;
	return 0;
}

static void warn_of_unreachable(const struct ports *ports)
{
	for (size_t i = 0; i < ports->count; i++)
		if (ports_needs_filter(&ports->list[i])) {
			autofree char *name = name_port(&ports->list[i], ports->list[i].first);

			log_warning("machine %s: %s%s is not forwarded: SCTP and ranges of more "
				    "than %d ports need the packet filter",
				    ports->machine, name ? name : "a port",
				    is_bindable(&ports->list[i]) ? "" : " and up", PORTS_RANGE_MAX);
		}
}

void ports_warn_unfiltered(struct ports *ports, int error)
{
	if (ports->has_warned || ports->count == 0)
		return;
	ports->has_warned = true;
	log_warning_errno(error,
			  "machine %s: the kernel's packet filter does not forward its ports, the "
			  "supervisor passes them on instead",
			  ports->machine);
	warn_of_unreachable(ports);
}

static void forget_last(struct ports *ports)
{
	forward_free(ports, ports->forwards[--ports->count]);
}

int ports_try_add(struct ports *ports, const struct net_port *port, struct ports_failure *ret)
{
	struct ports_failure failure = {};
	struct forward *forward = NULL;
	int r = make_room(ports);

	if (r >= 0)
		r = make_forward(ports, port, &forward, &failure);
	if (r < 0) {
		if (!failure.text)
			(void)fail(port, port->first, r, &failure);
		*ret = failure;
		return r;
	}
	ports->forwards[ports->count] = forward;
	ports->list[ports->count++] = *port;
	return 0;
}

int ports_refuse_last(struct ports *ports, int error, struct ports_failure *ret)
{
	struct net_port port = ports->list[ports->count - 1];

	forget_last(ports);
	return fail(&port, port.first, error, ret);
}

/* A search takes long, but nothing is served yet. */
static void find_owner(struct ports_failure *failure)
{
	struct port_query query = {.protocol = failure->port.protocol,
				   .address = failure->port.bind,
				   .first = failure->port.first,
				   .last = failure->port.last};

	if (!failure->owner && port_owner_find(&query, &failure->owner) < 0)
		failure->owner = strdup("somebody");
}

int ports_add(struct ports *ports, const struct net_port *port, const char *origin)
{
	autocall(ports_failure_done) struct ports_failure failure = {};
	int r = ports_try_add(ports, port, &failure);

	if (r >= 0)
		return 0;
	if (r != -EADDRINUSE)
		return log_error(r, "%s: %s", origin, failure.text ? failure.text : strerror(-r));
	find_owner(&failure);
	(void)log_error(r, "%s: %s by %s", origin, failure.text ? failure.text : "a port is taken",
			failure.owner ? failure.owner : "somebody");
	log_hint("stop who has it, or forward another port of the host: %s:FREE-PORT:%u",
		 protocol_name(port->protocol), port->guest_first);
	return r;
}

int ports_remove(struct ports *ports, const struct net_port *port)
{
	size_t i = 0;

	while (i < ports->count && !net_port_equal(&ports->list[i], port))
		i++;
	if (i == ports->count)
		return -ENOENT;
	forward_free(ports, ports->forwards[i]);
	ports->count--;
	memmove(ports->forwards + i, ports->forwards + i + 1,
		(ports->count - i) * sizeof(struct forward *));
	memmove(ports->list + i, ports->list + i + 1, (ports->count - i) * sizeof(*ports->list));
	return 0;
}

static struct net_address or_none(const struct net_address *address)
{
	return address ? *address : (struct net_address){};
}

void ports_set_target(struct ports *ports, const struct net_address *target4,
		      const struct net_address *target6)
{
	struct proxy_target target = {.v4 = or_none(target4), .v6 = or_none(target6)};
	bool is_new = !net_address_equal(&target.v4, &ports->target.v4) ||
		      !net_address_equal(&target.v6, &ports->target.v6);

	ports->target = target;
	if (has_target(ports))
		raise_limit(ports);
	else
		restore_limit(ports);
	if (is_new) {
		proxy_set_target(ports->tcp, &target);
		if (ports->udp)
			proxy_udp_set_target(ports->udp, &target);
	}
}

const struct net_port *ports_get(const struct ports *ports, size_t *ret_count)
{
	*ret_count = ports->count;
	return ports->list;
}

int ports_new(struct event_loop *loop, const char *machine, struct ports **ret)
{
	struct ports *ports = calloc(1, sizeof(*ports));

	if (!ports)
		return -ENOMEM;
	ports->loop = loop;
	ports->machine = machine;
	/* Unknown: never change it. Restoring zeros would leave no descriptors. */
	if (getrlimit(RLIMIT_NOFILE, &ports->limit) < 0)
		ports->limit = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	if (proxy_new(loop, &ports->tcp) < 0) {
		free(ports);
		return -ENOMEM;
	}
	*ret = ports;
	return 0;
}

void ports_free(struct ports *ports)
{
	if (!ports)
		return;
	while (ports->count > 0)
		forget_last(ports);
	proxy_free(ports->tcp);
	proxy_udp_free(ports->udp);
	restore_limit(ports);
	free(ports->forwards);
	free(ports->list);
	free(ports);
}
