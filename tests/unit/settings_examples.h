/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests that iterate over the table of settings. */
#pragma once

#include "check.h"
#include "settings/table.h"

/* A valid value of each type. */
static inline const char *setting_example(enum setting_type type)
{
	static const char *const examples[SETTING_TYPE_COUNT] = {
		[SETTING_TYPE_ANY] = "1",
		[SETTING_TYPE_SETTINGS_MODE] = "no",
		[SETTING_TYPE_CONSOLE] = "passive",
		[SETTING_TYPE_PATH] = "/srv/x",
		[SETTING_TYPE_RLIMIT_BY_NAME] = "NOFILE=1:2",
		[SETTING_TYPE_BOOL] = "yes",
		[SETTING_TYPE_WORDS] = "one",
		[SETTING_TYPE_HOSTNAME] = "host",
		[SETTING_TYPE_PATH_INSIDE] = "/a/b",
		[SETTING_TYPE_USER] = "nobody",
		[SETTING_TYPE_ENVIRONMENT] = "A=b",
		[SETTING_TYPE_CAPABILITIES] = "CAP_SYS_TIME,CAP_KILL",
		[SETTING_TYPE_SIGNAL] = "SIGTERM",
		[SETTING_TYPE_ID128] = "00112233445566778899aabbccddeeff",
		[SETTING_TYPE_USERS] = "no",
		[SETTING_TYPE_BIND] = "/a:/b",
		[SETTING_TYPE_TMPFS] = "/a:size=1M",
		[SETTING_TYPE_LINK] = "eth7:lan0",
		[SETTING_TYPE_LINK_NAME] = "br7",
		[SETTING_TYPE_ZONE] = "zone7",
		[SETTING_TYPE_PORT] = "udp:127.0.0.1:5353:53",
		[SETTING_TYPE_PREFIX] = "192.0.2.2/24",
		[SETTING_TYPE_ADDRESS] = "192.0.2.1",
		[SETTING_TYPE_RESOLV_CONF] = "bind-host",
		[SETTING_TYPE_DURATION] = "5s",
		[SETTING_TYPE_NIX_STORE] = "whole",
		[SETTING_TYPE_RLIMIT_COUNT] = "1:2",
		[SETTING_TYPE_RLIMIT_BYTES] = "1M",
		[SETTING_TYPE_RLIMIT_SECONDS] = "1h",
		[SETTING_TYPE_RLIMIT_MICROSECONDS] = "5ms",
		[SETTING_TYPE_RLIMIT_NICE] = "-5",
	};

	assert_non_null(examples[type]);
	return examples[type];
}
