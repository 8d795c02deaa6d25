# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing of tests/system's session is needed here: what is tried runs in virtual machines."""


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: boots a whole system, more than a second")
