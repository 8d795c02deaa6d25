/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "host/host.h"

/*
 * Gives up what the supervisor of a running machine does not need: call it once, after the first
 * boot. 0 or -errno (said); on failure the machine must not go on.
 */
int confine_supervisor(const struct spec *spec, const struct host_facts *facts);
