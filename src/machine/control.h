/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor's socket: Varlink (JSON objects, each ended by a NUL byte) over AF_UNIX stream at
 * /run/redd/machines/NAME/control. Interface io.redd.Machine:
 *
 *   Describe() -> (all fields of the state, ready: bool)
 *   PowerOff(timeoutUSec: ?int)      asks the init for a clean stop, kills it after the timeout
 *   Reboot()                         asks the init for a reboot
 *   Terminate()                      kills everything now
 *   AttachConsole(rows: ?int, columns: ?int)   "upgrade": true. After the reply the stream is:
 *       supervisor -> client  raw console bytes, the back-scroll first
 *       client -> supervisor  frames: one type byte, 16-bit big-endian length, data
 *                             'd' input bytes   'w' window size: rows, columns as 16-bit big endian
 *   ListPorts() -> (ports: []string)  the forwarded ports, as net_port_format() writes them
 *   AddPort(port: string)             forwards one more, until the machine ends
 *   RemovePort(port: string)          the very same; connections by the proxy are ended
 * Errors: org.varlink.service.MethodNotFound, .InvalidParameter, io.redd.Machine.NotAvailable;
 * of AddPort io.redd.Machine.PortTaken(reason: string, port: string, owner: ?string), where the
 * owner is told if it is a machine that forwards the port, and else is for the caller to search
 * for, and io.redd.Machine.PortFailed(reason: string); of RemovePort io.redd.Machine.NoSuchPort().
 * Replies to PowerOff, Reboot and Terminate come at once; the end of the machine is the end of the
 * supervisor's lock. Only root may connect (the directory is 0700 and SO_PEERCRED is checked).
 * Frames over CONTROL_MESSAGE_MAX bytes end the connection.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct json_object;

#define CONTROL_MESSAGE_MAX 65536
#define CONTROL_INTERFACE "io.redd.Machine"

/*
 * For clients: connects to the supervisor of this directory (machine_open()), and to no other.
 * -ESRCH when it does not listen, not yet or no longer; or -errno. Quiet.
 */
int control_connect(int machine_dir);
/* A pidfd of the listening process, or -errno; check the machine's lock afterwards. */
int control_open_server(int socket);
/* One call, one reply. `method` is "PowerOff" or a full name ("org.varlink.service.GetInfo");
 * AttachConsole gets its "upgrade". The call blocks until the reply. `parameters` may be NULL
 * (borrowed). *ret_reply is the reply's parameters (json_object_put). -EREMOTE for a Varlink error,
 * whose name is then in *ret_error (free), and *ret_reply its parameters. Nothing behind the
 * reply's NUL is taken from the socket.
 */
int control_call(int socket, const char *method, struct json_object *parameters,
		 struct json_object **ret_reply, char **ret_error);

/* Server side helpers, used by the supervisor; pure. */
/* Parses one message (without its NUL). 0, -EBADMSG, -ENOMEM. *ret_method is the full name, with
 * the interface; *ret_parameters is NULL or an object. Both are owned by *ret_message. */
int control_parse_call(const char *data, size_t size, struct json_object **ret_message,
		       const char **ret_method, struct json_object **ret_parameters);
/* Formats a reply or an error with its NUL; sizes without it. Strings are owned by the caller. */
int control_format_reply(struct json_object *parameters, char **ret, size_t *ret_size);
int control_format_error(const char *error, struct json_object *parameters, char **ret,
			 size_t *ret_size);
