/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices that a person hands to a machine by binding their nodes into it. */
#pragma once

#include <stddef.h>

#include "host/devices_bpf.h"
#include "spec/spec.h"

/*
 * The default rules, and read and write for every device node among the bind sources and directly
 * inside those that are directories below /dev (--bind=/dev/dri). *ret is the caller's to free.
 * Returns their number or -errno; -E2BIG over DEVICE_RULES_MAX. Quiet. Supervisor's side.
 */
int devices_rules_for(const struct spec *spec, struct device_rule **ret);
