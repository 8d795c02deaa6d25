# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the system tests share; each module does one thing and knows nothing of single tests."""
