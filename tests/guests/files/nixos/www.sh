# SPDX-License-Identifier: LGPL-2.1-or-later
mkdir -p "$out"
printf '%s\n' "$text" >"$out/index.html"
exit 0
