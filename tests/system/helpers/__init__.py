# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shared by the system tests. Each module does one thing and knows nothing of single tests."""
