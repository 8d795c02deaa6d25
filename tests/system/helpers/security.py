# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Marks a test as proof of a row of SECURITY.md. The tables there are made from these marks:

    @row("N03", "guest → 127.0.0.0/8 of the host", "dropped at ingress, also with CheckSource=no")
    def test_loopback_of_the_host_is_out_of_reach(...):

One mark of a row gives its attack and its defence; the others give the row only.
C tests have a comment in front of the function:  /* security row: N03 */
"""


def row(identity, attack=None, defence=None):
    def mark(test):
        return test

    return mark
