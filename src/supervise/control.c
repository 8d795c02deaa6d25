/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods of a machine's control socket, as machine/control.h describes them. Must never wait
 * for a client or a guest. Supervisor's side.
 */
#include "supervise/control.h"

#include <json-c/json.h>

#include "lib/macro.h"
#include "lib/str.h"
#include "lib/time.h"
#include "log/log.h"
#include "machine/control.h"
#include "supervise/console.h"
#include "supervise/control_server.h"
#include "supervise/network.h"
#include "supervise/stop.h"

/* *ret stays as it is when the parameter is not given. -EINVAL: not a number of 0 to `max`. */
static int take_number(struct json_object *in, const char *name, int64_t max, int64_t *ret)
{
	struct json_object *value = NULL;
	int64_t number;

	if (!in || !json_object_object_get_ex(in, name, &value) || !value)
		return 0;
	number = json_object_get_int64(value);
	if (!json_object_is_type(value, json_type_int) || number < 0 || number > max)
		return -EINVAL;
	*ret = number;
	return 0;
}

static int method_describe(struct control_connection *c, void *userdata, struct json_object *in,
			   struct json_object **out)
{
	*out = machine_state_to_json(((struct control_target *)userdata)->state);
	return *out ? 0 : -ENOMEM;
}

static int method_power_off(struct control_connection *c, void *userdata, struct json_object *in,
			    struct json_object **out)
{
	struct control_target *target = userdata;
	int64_t timeout_us = -1;
	int r = take_number(in, "timeoutUSec", INT64_MAX, &timeout_us);

	if (r < 0)
		return r;
	r = stop_ask(target->stop,
		     timeout_us < 0 ? target->state->stop_timeout_us : (uint64_t)timeout_us);
	return r == -EINVAL ? -EIO : r;
}

static int method_reboot(struct control_connection *c, void *userdata, struct json_object *in,
			 struct json_object **out)
{
	return stop_ask_reboot(((struct control_target *)userdata)->stop);
}

static int method_terminate(struct control_connection *c, void *userdata, struct json_object *in,
			    struct json_object **out)
{
	stop_kill(((struct control_target *)userdata)->stop);
	return 0;
}

/* After the reply the connection is the console's. */
static int method_attach(struct control_connection *c, void *userdata, struct json_object *in,
			 struct json_object **out)
{
	struct control_target *target = userdata;
	int64_t rows = 0;
	int64_t columns = 0;
	int fd;
	int r = take_number(in, "rows", UINT16_MAX, &rows);

	if (r >= 0)
		r = take_number(in, "columns", UINT16_MAX, &columns);
	if (r < 0)
		return r;
	if (!target->console)
		return -ENOTTY;
	fd = control_hand_over(c);
	if (fd < 0)
		return fd;
	return console_add_client(target->console, fd, (uint16_t)rows, (uint16_t)columns);
}

static int method_list_ports(struct control_connection *c, void *userdata, struct json_object *in,
			     struct json_object **out)
{
	const struct control_target *target = userdata;
	size_t count;
	const struct net_port *ports = network_ports(target->network, &count);
	struct json_object *list = json_object_new_array();
	char text[NET_PORT_TEXT];

	for (size_t i = 0; i < count; i++)
		(void)json_object_array_add(
			list, json_object_new_string(net_port_format(&ports[i], text)));
	*out = json_object_new_object();
	return json_object_object_add(*out, "ports", list) < 0 ? -ENOMEM : 0;
}

static int take_port(struct json_object *in, struct net_port *ret)
{
	struct json_object *value = NULL;

	if (!in || !json_object_object_get_ex(in, "port", &value) ||
	    !json_object_is_type(value, json_type_string))
		return -EINVAL;
	return net_port_parse(json_object_get_string(value), ret) < 0 ? -EINVAL : 0;
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	if (text)
		(void)json_object_object_add(object, key, json_object_new_string(text));
}

static int method_add_port(struct control_connection *c, void *userdata, struct json_object *in,
			   struct json_object **out)
{
	autocall(ports_failure_done) struct ports_failure failure = {};
	char text[NET_PORT_TEXT];
	struct net_port port;
	int r = take_port(in, &port);

	if (r < 0)
		return r;
	r = network_add_port(((struct control_target *)userdata)->network, &port, &failure);
	if (r >= 0 || !failure.text)
		return r == -EINVAL ? -EIO : r;
	control_fail_as(c, r == -EADDRINUSE ? CONTROL_INTERFACE ".PortTaken"
					    : CONTROL_INTERFACE ".PortFailed");
	*out = json_object_new_object();
	add_text(*out, "reason", failure.text);
	add_text(*out, "owner", failure.owner);
	if (r == -EADDRINUSE)
		add_text(*out, "port", net_port_format(&failure.port, text));
	return r;
}

static int method_remove_port(struct control_connection *c, void *userdata, struct json_object *in,
			      struct json_object **out)
{
	struct net_port port;
	int r = take_port(in, &port);

	if (r < 0)
		return r;
	r = network_remove_port(((struct control_target *)userdata)->network, &port);
	if (r == -ENOENT)
		control_fail_as(c, CONTROL_INTERFACE ".NoSuchPort");
	return r;
}

static const struct control_method methods[] = {
	{CONTROL_INTERFACE ".Describe", method_describe},
	{CONTROL_INTERFACE ".PowerOff", method_power_off},
	{CONTROL_INTERFACE ".Reboot", method_reboot},
	{CONTROL_INTERFACE ".Terminate", method_terminate},
	{CONTROL_INTERFACE ".AttachConsole", method_attach},
	{CONTROL_INTERFACE ".ListPorts", method_list_ports},
	{CONTROL_INTERFACE ".AddPort", method_add_port},
	{CONTROL_INTERFACE ".RemovePort", method_remove_port},
};

int control_open(struct event_loop *loop, int machine_dir, struct control_target *target,
		 struct control_server **ret)
{
	int r = control_server_new(loop, machine_dir, methods, ARRAY_SIZE(methods), target, ret);

	return r < 0 ? log_errno(r, "make the control socket of machine %s", target->state->name)
		     : 0;
}
